"""Advice on a run while it is under way: each line once, where it is due.

Knows nothing about when advice is due: `advice.py` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from ...monitoring import advice
from ...network import parameters
from ...text.dataset.streams import split
from ...training.loop import Epoch
from ...training.run import Event
from ...training.setup import streams
from ...training.state import TrainingState, epochs_in
from ..shared.wording import as_options

if TYPE_CHECKING:
    from ...text.dataset.corpus import Corpus


class Adviser:
    """Looks at a run and says what could be better."""

    def __init__(self, run: TrainingState, text: Corpus, console: Console) -> None:
        self.run, self.text, self.console = run, text, console
        self.given: set[str] = set()

    def follow(self, progress: Iterable[Event]) -> Iterator[Event]:
        """Pass on what a run yields, and give advice before its first step and after what was made of an epoch."""
        setting = self._setting()
        if self.run.step == 0:
            self._give(advice.at_the_start(setting))
        for each in progress:
            yield each
            if isinstance(each, Epoch):
                history = self.run.record.history
                self._give(advice.after_an_epoch(setting, history))
                if each.step >= self.run.config.steps:
                    self._give(advice.at_the_end(setting, history))

    def _setting(self) -> advice.Setting:
        config, model = self.run.config, self.run.model.config
        training, _ = split(self.text.ids, config.val_split)
        return advice.Setting(
            parameters=parameters.count(model),
            training_tokens=len(training),
            token=self.text.vocab.unit,
            layers=model.layers,
            epochs=epochs_in(self.run, streams(self.text, config)),
            dropout=config.dropout,
            recurrent_dropout=config.recurrent_dropout,
            patience=config.patience,
        )

    def _give(self, found: advice.Advice | None) -> None:
        if found is not None and found.about not in self.given:
            self.given.add(found.about)
            self.console.print(as_options(found.line), style="yellow", markup=False)

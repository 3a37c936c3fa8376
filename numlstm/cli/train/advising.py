"""Print advice during a run, each line at most once. `monitoring/advice.py` decides what to advise and when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from ...monitoring import advice
from ...network import parameters
from ...settings.training import OPTIMIZERS, TrainingSettings
from ...text.dataset.streams import split
from ...training.loop import Epoch
from ...training.run import Event
from ...training.setup import streams
from ...training.state import TrainingState, epochs_in
from ..shared.wording import as_options

if TYPE_CHECKING:
    from ...text.dataset.corpus import Corpus


class Adviser:
    """Watches a run and prints advice on its settings."""

    def __init__(self, run: TrainingState, text: Corpus, console: Console) -> None:
        self.run, self.text, self.console = run, text, console
        self.topics: set[str] = set()

    def follow(self, progress: Iterable[Event]) -> Iterator[Event]:
        """Pass on a run's events, and print advice before the first step and after each epoch."""
        setting = self._setting()
        if self.run.step == 0:
            self._give(advice.before_training(setting))
        for each in progress:
            yield each
            if isinstance(each, Epoch):
                history = self.run.record.history
                self._give(advice.after_epoch(setting, history))
                if each.step >= self.run.config.steps:
                    self._give(advice.after_training(setting, history))

    def _setting(self) -> advice.Setting:
        config, model = self.run.config, self.run.model.config
        training, _ = split(self.text.ids, config.val_split)
        return advice.Setting(
            parameters=parameters.count(model),
            training_tokens=len(training),
            token=self.text.vocab.unit,
            layers=model.layers,
            epochs=epochs_in(self.run, streams(self.text, config)),
            guessing=math.log(model.vocab_size),
            lower_lr=min(config.lr / 10, OPTIMIZERS[config.optimizer].get("lr", TrainingSettings.lr)),
            dropout=config.dropout,
            recurrent_dropout=config.recurrent_dropout,
            patience=config.patience,
        )

    def _give(self, found: advice.Advice | None) -> None:
        if found is not None and found.about not in self.topics:
            self.topics.add(found.about)
            self.console.print(as_options(found.line), style="yellow", markup=False)

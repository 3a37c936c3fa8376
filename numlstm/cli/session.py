"""A run on the command line: watched, saved now and then, stopped by Ctrl-C, and never lost."""

from __future__ import annotations

import dataclasses
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import typer

from .. import weights
from ..errors import CorpusError, DivergedError, WeightsError
from ..text.batches import split
from ..text.corpus import Corpus
from ..train import Epoch, Run, train
from .advising import Adviser
from .options import stderr
from .progress import Watch, show_start
from .recording import Recorder, Sink
from .working import working

SAVE_SECONDS = 60.0  # the longest time between two saves
SAMPLE_TEMPERATURES = (0.0, 0.25, 0.5, 0.75)


def watch(
    run: Run, text: Corpus, path: str, prompt: str | None, sample_length: int, sinks: Sequence[Sink] = ()
) -> None:
    """Train to the end, or until the user stops it, showing and saving what comes, and telling the sinks.

    Exits with 130 if stopped. Raises `DivergedError`, with what is kept, and `WeightsError` if the last save fails.
    """
    console = stderr()
    prompt = prompt or _prompt_line(text)
    show_start(console, run, text, path)
    saver = _Saver(run, path)
    recorder = Recorder(sinks, run, text, path, console)
    with Watch(console, run, text) as shown, recorder, _stop_asked() as stop:
        _train(run, text, saver, shown, recorder, stop, prompt, sample_length)
    saver.save_or_rescue()
    if run.step < run.config.steps or stop.at_once:
        console.print(
            f"stopped and saved at step {run.step:,}; go on with: numlstm train --resume {path}", markup=False
        )
        raise typer.Exit(130)
    best = run.record["best_loss"]
    quality = f", validation loss {best:.4f} nats at step {run.record['best_step']:,}" if best is not None else ""
    console.print(f"done{quality}; write with: numlstm gen {path}", markup=False)


def _train(
    run: Run,
    text: Corpus,
    saver: _Saver,
    shown: Watch,
    recorder: Recorder,
    stop: _Stop,
    prompt: str,
    sample_length: int,
) -> None:
    try:
        events = recorder.follow(train(run, *split(text.ids, run.config.val_split)))
        for event in Adviser(run, text, shown.console).follow(events):
            if isinstance(event, Epoch):
                shown.epoch(event)
                saver.save(shown)
                if sample_length:
                    with working(console=shown.console):
                        texts = _samples(run, prompt, sample_length)
                    shown.samples(prompt, texts)
                    recorder.samples(prompt, texts)
            else:
                shown.step(event)
                if saver.due():
                    saver.save(shown)
            if stop.asked:
                return
            # Validation changes nothing that a later run could not make up for: it may be stopped in the middle.
            stop.at_once = not isinstance(event, Epoch) and event.last
    except DivergedError as error:
        raise DivergedError(f"{error}; {saver.what_is_kept()}") from None
    except KeyboardInterrupt:
        if not stop.at_once:
            raise


class _Saver:
    """Writes the run to its file now and then, and remembers when."""

    def __init__(self, run: Run, path: str) -> None:
        self.run, self.path = run, path
        self.last, self.step = time.monotonic(), -1

    def due(self) -> bool:
        return time.monotonic() - self.last > SAVE_SECONDS

    def save(self, shown: Watch) -> None:
        """Save; a failure is told, and training goes on: there may be room by the next time."""
        self.last = time.monotonic()
        try:
            self._write(self.path)
        except WeightsError as error:
            shown.console.print(f"not saved: {error}", style="red", markup=False)

    def save_or_rescue(self) -> None:
        """Save, if need be to the folder for temporary files; raises `WeightsError` that says where."""
        if self.step == self.run.step:
            return
        try:
            self._write(self.path)
        except WeightsError as error:
            rescue = Path(tempfile.mkdtemp(prefix="numlstm-")) / Path(self.path).name
            self._write(str(rescue))
            raise WeightsError(f"{error}; the run was saved to {rescue} instead") from None

    def what_is_kept(self) -> str:
        return f"{self.path} holds step {self.step:,}" if self.step >= 0 else "nothing had been saved yet"

    def _write(self, path: str) -> None:
        weights.save(path, self.run.to_file())
        self.step = self.run.step


def prepare(run: Run) -> None:
    """Have the kernels of training loaded or compiled before the clock starts."""
    model = run.model
    nothing = np.zeros((1, run.config.batch_size), np.int32)
    model.gradients_(nothing, nothing)
    arrays = [model.backend.zeros(1, model.config.dtype) for _ in range(4)]
    model.backend.adam_(*arrays, step=1, lr=0.1, beta1=0.9, beta2=0.9, epsilon=0.1, scale=1.0)
    model.backend.global_norm(arrays[0])


def check_prompt(prompt: str, text: Corpus) -> None:
    """Raise `CorpusError` if the prompt of the samples has characters that the text lacks."""
    unknown = sorted(set(prompt) - set(text.vocab.symbols))
    if unknown:
        listed = ", ".join(map(repr, unknown[:10]))
        raise CorpusError(
            f"--prompt has characters that the text lacks: {listed}; expected only characters of the text"
        )


def _prompt_line(text: Corpus) -> str:
    """Return the first whole line of the text's last tenth, up to 40 characters."""
    _, val = split(text.ids, 0.1)
    tail = text.vocab.decode(val[:2000]) or text.vocab.decode(text.ids[:2000])
    lines = [line for line in tail.split("\n")[1:] if len(line) > 8] or [tail]
    return lines[0][:40]


def _samples(run: Run, prompt: str, length: int) -> dict[float, str]:
    return {
        temperature: run.model.generate(prompt, length=length, temperature=temperature, seed=run.config.seed)
        for temperature in SAMPLE_TEMPERATURES
    }


@dataclasses.dataclass
class _Stop:
    """Whether the user has asked for a stop, and whether the moment allows to stop at once."""

    asked: bool = False
    at_once: bool = False


@contextmanager
def _stop_asked() -> Iterator[_Stop]:
    """Let Ctrl-C and SIGTERM ask for a stop after the step under way; asked a second time, stop at once."""
    stop = _Stop()

    def ask(number: int, frame: Any) -> None:
        if stop.asked or stop.at_once:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

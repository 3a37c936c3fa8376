"""A run on the command line: watched, saved now and then, stopped by Ctrl-C or the clock, and never lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import typer
from rich.console import Console

from ...errors import CorpusError, DivergedError
from ...settings.amounts import Every
from ...text.dataset.corpus import Corpus
from ...text.dataset.streams import split
from ...text.vocab.word import UNKNOWN
from ...training.checkpoint import Saver
from ...training.loop import Epoch, Progress, Step, step_options, train
from ...training.optimizers import Optimizer
from ...training.recording import Recorder, Sink
from ...training.state import TrainingState
from ..shared.options import stderr
from ..shared.wording import as_options
from ..shared.work_progress import working
from .advising import Adviser
from .progress import Watch, show_start
from .stopping import Stop, stop_asked

SAMPLE_TEMPERATURES = (0.0, 0.25, 0.5, 0.75)


def watch(
    run: TrainingState,
    text: Corpus,
    path: str,
    prompt: str | None,
    sample_length: int,
    sample_every: int = 1,
    *,
    device: str,
    every: Every,
    deadline: float | None = None,
    sinks: Sequence[Sink] = (),
) -> None:
    """Train to the end, or until the user or the clock stops it, showing and saving what comes, and telling the sinks.

    `device` is the device in words, `deadline` a time of `time.monotonic`. Exits with 130 if the user stopped it.
    Raises `DivergedError`, with what is kept, and `WeightsError` if the last save fails.
    """
    console = stderr()
    prompt = prompt or _prompt_line(text)
    show_start(console, run, text, path, device)

    def warn(line: str) -> None:
        console.print(as_options(line), style="red", markup=False)

    saver = Saver(run, path, every, warn)
    recorder = Recorder(sinks, run, text, path, warn)
    with stop_asked(deadline) as stop:  # until the run is saved: the signal may come again
        try:
            with Watch(console, run, text) as shown, recorder:
                _train(run, text, saver, shown, recorder, stop, prompt, sample_length, sample_every)
            saver.save_or_rescue()
        except (OSError, SystemExit):  # what rich makes of a pipe or terminal that is gone, when it shows a step
            saver.save_or_rescue()
            raise
        except KeyboardInterrupt:
            console.print(f"stopped at once; {saver.what_is_kept()}", markup=False)
            raise
    if not run.complete:
        why = "stopped" if stop.by_user else "time is up: stopped"
        console.print(f"{why} and saved at step {run.step:,}; go on with: numlstm train --resume {path}", markup=False)
        raise typer.Exit(130 if stop.by_user else 0)
    _say_done(console, run, path)


def _say_done(console: Console, run: TrainingState, path: str) -> None:
    best = run.record["best_loss"]
    quality = f", validation loss {best:.4f} nats at step {run.record['best_step']:,}" if best is not None else ""
    how = f"stopped early after {run.config.patience} epochs that were no better" if run.out_of_patience else "done"
    console.print(f"{how}{quality}; write with: numlstm gen {path}", markup=False)


def nothing_left(run: TrainingState, path: str) -> bool:
    """Return whether the run is complete; if it is, say so, and how to go on."""
    if not run.complete:
        return False
    console = stderr()
    if run.out_of_patience:
        more = f"--patience above {run.record['stale_epochs']}"
    else:
        more = f"--epochs or --steps with more than the {run.step:,} steps that are made"
    console.print(f"{path} is finished, and nothing was changed; to go on give {more}", markup=False)
    _say_done(console, run, path)
    return True


def _train(
    run: TrainingState,
    text: Corpus,
    saver: Saver,
    shown: Watch,
    recorder: Recorder,
    stop: Stop,
    prompt: str,
    sample_length: int,
    sample_every: int,
) -> None:
    if run.step == 0:
        saver.snapshot(0)
    try:
        events = recorder.follow(_heeded(train(run, *split(text.ids, run.config.val_split)), stop))
        for event in Adviser(run, text, shown.console).follow(events):
            if isinstance(event, Epoch):
                shown.epoch(event)
                if event.whole:
                    saver.snapshot(event.epoch)
                saver.save()
                if sample_length and (event.epoch % sample_every == 0 or run.complete):
                    stop.at_once = True
                    with working(console=shown.console):
                        texts = _samples(run, prompt, sample_length)
                    shown.samples(prompt, texts)
                    recorder.samples(prompt, texts)
            else:
                shown.step(event)
                if saver.due():
                    saver.save()
            if stop.asked and event.step == run.step:  # several steps may come together, and all are told of
                return
    except DivergedError as error:
        raise DivergedError(f"{error}; {saver.what_is_kept()}") from None
    except KeyboardInterrupt:
        if not stop.cut_short:
            raise
    finally:
        stop.at_once = False  # what is done from here on is done whole


def _heeded(progress: Iterator[Progress], stop: Stop) -> Iterator[Progress]:
    """Pass on what a run yields; validation, which a later run can make up for, may be stopped in the middle."""
    for event in progress:
        stop.at_once = False  # what comes of an epoch, such as a snapshot, is made once
        yield event
        stop.at_once = isinstance(event, Step) and event.last


def prepare(run: TrainingState) -> None:
    """Have the kernels of training loaded or compiled before the clock starts."""
    model = run.model
    nothing = model.backend.asarray(np.zeros((1, run.config.batch_size), np.int32))
    loss, _ = model.gradients_(nothing, nothing, **step_options(run))
    float(loss)  # waits for the device
    backend, dtype = model.backend, model.config.dtype
    flat, grads = backend.zeros(1, dtype), backend.zeros(1, dtype)
    Optimizer.start(run.config, backend, 1, dtype).update_(backend, flat, grads, run.config, 0)
    if run.average:
        backend.approach_(flat, grads, 0.5)


def check_prompt(prompt: str, text: Corpus) -> None:
    """Raise `CorpusError` if the prompt of the samples has characters that the text lacks."""
    unknown = text.vocab.lacks(prompt)
    if unknown:
        listed = ", ".join(map(repr, unknown[:10]))
        raise CorpusError(
            f"--prompt has characters that the text lacks: {listed}; expected only characters of the text"
        )


def _prompt_line(text: Corpus) -> str:
    """Return the first whole line of the text's last tenth, up to 40 characters, of words up to the last whole one."""
    _, val = split(text.ids, 0.1)
    tail = text.vocab.decode(val[:2000]) or text.vocab.decode(text.ids[:2000])
    lines = [line for line in tail.split("\n")[1:] if len(line) > 8] or [tail]
    if text.vocab.unknown_id is not None:  # a sign is no word to go on from
        lines = [line for line in lines if UNKNOWN not in line] or lines
    if text.vocab.level != "word" or len(lines[0]) <= 40:
        return lines[0][:40]
    return lines[0][:41].rpartition(" ")[0]


def _samples(run: TrainingState, prompt: str, length: int) -> dict[float, str]:
    model = run.judged()
    return {
        temperature: model.generate(prompt, length=length, temperature=temperature, seed=run.config.seed)
        for temperature in SAMPLE_TEMPERATURES
    }

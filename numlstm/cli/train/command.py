"""`numlstm train`: train a model on a text."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError
from ...settings.amounts import parse_duration
from ...settings.commands import checked, train_settings
from ...settings.run import RunSettings
from ...storage.atomic import exists
from ...training.job_name import PLACE, job_name
from ..shared.declared_options import with_settings
from ..shared.options import describe_device, open_backend, stderr

if TYPE_CHECKING:
    from ...text.dataset.corpus import Corpus
    from ...training.state import TrainingState

_COMMANDS = 20  # kept in a run's record


Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CORPUS...",
        help="What to train on: files, folders, globs, - for standard input, or a corpus name such as "
        "[bold]tales[/bold] (see [bold]numlstm corpus list[/bold]). Several are joined.",
        show_default=False,
    ),
]


@with_settings(train_settings())
def train(
    corpus: Sources = None,
    *,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors and warnings.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also print the shapes and parameters of each layer.")
    ] = False,
    options: dict[str, Any],
) -> None:
    """Train a model on a text.

    Without CORPUS, lists what you can train on. The last tenth of the text is
    not trained on but used for validation: the loss on it shows how well the
    model predicts new text. The weights file holds the best weights so far and
    everything needed to resume; it is saved after every epoch and every minute.
    Ctrl-C saves and stops.

    Examples:

    [bold]numlstm train corpus.txt[/bold]

    [bold]numlstm train poems/ letters.txt --layers 256,256 --dropout 0.3 --epochs 20 -o mine.npz[/bold]

    [bold]numlstm train corpus.txt -o 'runs/{job}.npz' --max-time 15m[/bold]

    [bold]numlstm train books/ --level word --vocab-size 10000[/bold]

    [bold]numlstm train --resume weights.npz[/bold]
    """
    resume = options.get("resume")
    if not corpus and resume is None:
        from ..corpus.table import explain_choices

        explain_choices()
        raise typer.Exit(2)
    if quiet and verbose:
        raise ConfigError("give either --quiet or --verbose, not both")
    if "layers" in options and (sizes := [each for each in corpus or () if each.isdecimal() and not exists(each)]):
        joined = ",".join([options["layers"], *sizes])
        raise ConfigError(f"the sizes of several layers are joined by commas: --layers {joined}")
    options = checked(options)
    began = time.monotonic()
    deadline = began + parse_duration("--max-time", options.pop("max_time")) if "max_time" in options else None
    device, overwrite = options.get("device", "auto"), options.get("overwrite", False)
    path, resume = _output_and_resume(corpus or (), options)
    options = {"sample_length": RunSettings.sample_length, **options, "output": path}
    from ...network import weights_file
    from ...training.checkpoint import check_snapshots
    from ...training.recording import open_sinks
    from ...training.run import Run
    from ..shared.work_progress import spinner
    from . import session

    replace = overwrite or path == resume
    weights_file.check_output(path, overwrite=replace)
    check_snapshots(path, options.get("snapshot_epochs", []), overwrite=replace)
    sinks = open_sinks(options.get("log"), options.get("tensorboard"))
    with contextlib.nullcontext() if quiet else spinner():
        text, state = _new(corpus or (), options) if resume is None else _resumed(resume, corpus or (), options)
        check_snapshots(path, state.record.snapshot_epochs, overwrite=replace)
        if resume is not None and session.report_if_finished(state, resume):
            return
        run = Run(text, state, options, sinks=sinks)
        _note_command(state, options)
        session.prepare(state, samples=run.sample_length > 0)
    named = describe_device(state.model.backend, device)
    session.watch(run, device=named, deadline=deadline, quiet=quiet, verbose=verbose)


def _new(corpus: Sequence[str], options: Mapping[str, Any]) -> tuple[Corpus, TrainingState]:
    from ...training import setup
    from ...training.samples import check_prompt
    from ..shared.reading_progress import reading_progress

    with reading_progress() as report:
        text = setup.read_text(corpus, options, report)
    check_prompt(options.get("prompt", ""), text)
    return text, setup.new_run(text, open_backend(options.get("device", "auto"), options.get("threads")), options)


def _resumed(path: str, corpus: Sequence[str], options: Mapping[str, Any]) -> tuple[Corpus, TrainingState]:
    from ...training.resume import resumed_run
    from ...training.samples import check_prompt
    from ..shared.reading_progress import reading_progress

    backend = open_backend(options.get("device", "auto"), options.get("threads"))
    with reading_progress() as report:
        text, state, notes = resumed_run(path, backend, options, corpus, report)
    for note in notes:
        stderr().print(note, markup=False)
    check_prompt(options.get("prompt", ""), text)
    return text, state


def _note_command(run: TrainingState, options: Mapping[str, Any]) -> None:
    """Add the command to the run's record, unless it only resumes the run unchanged."""
    from ...training.setup import TRAINING

    command, before = shlex.join(["numlstm", *sys.argv[1:]]), run.record.commands
    changes = not before or {*TRAINING, "steps", "epochs"} & set(options)
    if changes and command not in before[-1:]:
        run.record.commands = (*before, command)[-_COMMANDS:]


def _output_and_resume(corpus: Sequence[str], options: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the output path and the file of the run to resume, or None for a new run."""
    resume: str | None = options.get("resume")
    path: str = options.get("output") or resume or "weights.npz"
    if PLACE not in path:
        return path, resume
    if resume is not None:
        raise ConfigError(f"-o is {path!r} with --resume; expected a name without {PLACE}, which is for new runs")
    path = path.replace(PLACE, job_name(corpus, options))
    again = exists(path) and not options.get("overwrite")
    return path, path if again else None

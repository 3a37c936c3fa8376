"""What a run starts from: the text, the network, and settings that suit the text where none were given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import weights
from ..config import ModelConfig, TrainConfig
from ..errors import BackendError, ConfigError, CorpusError, WeightsError
from ..model import Model
from ..params import initialise
from ..text.batches import Streams, split
from ..text.corpus import Corpus, Level, corpus_names, load_corpus
from ..train import Run
from .options import stderr
from .reading import reading

if TYPE_CHECKING:
    from ..backends import Backend
    from ..weights import WeightsFile

_GOAL = 4_000_000  # characters that a run goes through if nobody says how many
_EPOCHS = (2, 40)  # the fewest and the most epochs for that
_WARMUP = 0.05  # the share of a run's steps in which the learning rate rises, up to `TrainConfig.warmup_steps`


def load_text(corpus: Sequence[str] | None, encoding: str | None, level: Level) -> Corpus:
    """Read the text to train on.

    Raises `CorpusError`, which lists the choices if there was none, and `ConfigError` for an encoding of bytes.
    """
    if encoding is not None and level.name == "byte":
        raise ConfigError(
            f"--encoding is {encoding} with --level byte; expected only one of them: bytes are not decoded"
        )
    if not corpus:
        names = ", ".join(corpus_names())
        raise CorpusError(
            f"no text was given; expected a corpus name ({names}), files, folders, globs or -: "
            "numlstm train corpus.txt, or numlstm train python"
        )
    with reading() as report:
        return load_corpus(corpus, encoding=encoding or "utf-8", level=level, report=report)


def new_run(
    text: Corpus,
    layers: str,
    backend: Backend,
    settings: Mapping[str, Any],
    epochs: int | None,
    steps: int | None,
) -> Run:
    """Make a network for the text and a run that has not begun.

    Raises `ConfigError` for settings out of range, `CorpusError` if the text is too short for them and `BackendError`
    if the device cannot compute with the precision.
    """
    config = _train_config(text, settings, epochs, steps)
    model_config = ModelConfig(len(text.vocab), parse_layers(layers))
    parameters = initialise(model_config, config.seed)
    model = Model(model_config, parameters, backend, vocab=text.vocab, precision=config.precision)
    run = Run.start(model, config)
    run.record["corpus"] = _corpus_record(text)
    return run


def resumed_run(
    path: str,
    sources: Sequence[str] | None,
    backend: Backend,
    settings: Mapping[str, Any],
    epochs: int | None,
    steps: int | None,
    precision: str | None,
) -> tuple[Corpus, Run]:
    """Read a run and its text again, the text from where it was unless `sources` says otherwise.

    Raises `WeightsError` if the file holds no run, `CorpusError` if the text is gone or is another,
    `ConfigError` for settings that belong to the run and cannot change, and `BackendError` if the device cannot
    compute with the run's precision; with another one that is given the run goes on, and the user is told.
    """
    if settings:
        names = ", ".join("--" + name.replace("_", "-") for name in settings)
        raise ConfigError(f"{names} cannot change in a resumed run; expected only --epochs or --steps beside --resume")
    file = weights.load(path)
    run = _resumed(file, backend, precision)
    was = run.record.get("corpus")
    if was is None:
        raise WeightsError(
            f"{path} does not say what text it was trained on; expected a file that `numlstm train` wrote"
        )
    if sources is None and "-" in was["sources"]:
        raise CorpusError("the run's text came from standard input; expected it again: add - and pipe it in")
    with reading() as report:
        text = load_corpus(sources or was["sources"], encoding=was["encoding"], vocab=file.vocab, report=report)
    if text.digest != was["digest"]:
        raise CorpusError(
            f"the text has changed: it has {len(text.ids):,} {text.vocab.unit}s and another checksum than the run's "
            f"{was['characters']:,}; expected the same text, or a new run without --resume"
        )
    total = steps if steps is not None else epochs and epochs * streams(text, run.config).steps_per_epoch
    if total is not None:
        run.config = dataclasses.replace(run.config, steps=total)
    return text, run


def _resumed(file: WeightsFile, backend: Backend, precision: str | None) -> Run:
    try:
        run = Run.resume(file, backend, precision=precision)
    except BackendError as error:
        if precision is not None:
            raise
        raise BackendError(
            f"{error}: add --precision float32 to go on with this run, though no longer to the same bits"
        ) from None
    was = file.state.config.precision if file.state else run.config.precision
    if run.config.precision != was:
        stderr().print(f"precision was {was} and is {run.config.precision} from here on: not the same bits as before")
    return run


def streams(text: Corpus, config: TrainConfig) -> Streams:
    """Return the training part of the text as the run's streams."""
    return Streams(split(text.ids, config.val_split)[0], config.batch_size, config.seq_len)


def parse_layers(layers: str) -> tuple[int, ...]:
    """Read "128,128"; raises `ConfigError` if it is something else."""
    try:
        return tuple(int(size) for size in layers.split(","))
    except ValueError:
        raise ConfigError(f"--layers is {layers!r}; expected one size per layer, such as 128,128") from None


def _train_config(text: Corpus, settings: Mapping[str, Any], epochs: int | None, steps: int | None) -> TrainConfig:
    if epochs is not None and epochs < 1:
        raise ConfigError(f"--epochs is {epochs}; expected at least 1")
    draft = TrainConfig(steps=0, **settings)
    per_epoch = streams(text, draft).steps_per_epoch
    if steps is None:
        fewest, most = _EPOCHS
        steps = per_epoch * (epochs or min(max(-(-_GOAL // len(text.ids)), fewest), most))
    warmup = min(draft.warmup_steps, int(_WARMUP * steps))
    return dataclasses.replace(draft, steps=steps, warmup_steps=warmup)


def _corpus_record(text: Corpus) -> dict[str, Any]:
    return {
        "sources": list(text.sources),
        "encoding": text.encoding,
        "digest": text.digest,
        "characters": len(text.ids),
    }

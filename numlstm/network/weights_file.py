"""Weights files: save a trained network, with the state for an exact resume, and load it with full validation.

The format, version 1, is an npz file. It holds the best parameters under their names, and `meta`, one JSON document in
a 0-d string array. If training can resume from the file, it also holds `optimizer.` + name for each of
`TrainingSettings.kept` (`m` and `v` for Adam), `training.h.L` and `training.c.L` for each layer L, and
`training.params`, which is omitted if equal to the best parameters. A copy for sharing holds the best parameters as
16-bit floats, recorded in `meta` under `stored`, and no training state. The summary and record are opaque JSON here.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .._version import __version__
from ..errors import StorageError, WeightsError
from ..settings.network import NetworkSettings
from ..settings.training import TrainingSettings
from ..storage import atomic, npz
from ..storage.atomic import StrPath
from ..text.vocab.base import Vocab
from ..text.vocab.from_dict import vocab_from_dict
from . import shipped
from .parameters import FloatArray, count, shapes, views

FORMAT = "numlstm"
VERSION = 1
GATES = "ifgo"
HALF = "float16"

_OVERWRITE_ADVICE = (
    " and may hold hours of work; use `overwrite` to replace it, `resume` to continue it, or choose another `output`"
)
_LATEST = "training.params"
_META_TYPES = {"config": dict, "vocab": dict, "summary": dict, "training": (dict, type(None))}
_TRAINING_TYPES = {"config": dict, "step": int, "record": dict}

Shapes = dict[str, tuple[int, ...]]


@dataclasses.dataclass(eq=False)
class TrainState:
    """The state, besides the best parameters, that an exact resume needs.

    `params (P,)` are the parameters after `step` updates. `slots` holds the optimizer's state, each array `(P,)`, by
    the names in `TrainingSettings.kept`. `h` and `c` are the carried states per layer, (B, R) and (B, H), with B the
    batch size. `record` is stored as JSON and not interpreted.
    """

    config: TrainingSettings
    step: int
    params: FloatArray
    slots: dict[str, FloatArray]
    h: list[FloatArray]
    c: list[FloatArray]
    record: dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class WeightsFile:
    """The contents of a weights file.

    `params (P,)` are the best parameters: those with the lowest validation loss. `summary` is stored as
    JSON and not interpreted. `state` is None if training cannot resume from this file.
    """

    config: NetworkSettings
    vocab: Vocab
    params: FloatArray
    summary: dict[str, Any]
    state: TrainState | None = None


class Outline(NamedTuple):
    """A weights file's metadata, without its arrays; `training` is None if training cannot resume from it."""

    config: NetworkSettings
    vocab: Vocab
    summary: dict[str, Any]
    training: TrainingSettings | None


def save(path: StrPath, file: WeightsFile, *, half: bool = False) -> None:
    """Write a weights file atomically: a crash leaves the old file or the new one.

    `half` stores the parameters as 16-bit floats, with three digits in half the space; the file must have no training
    state. Non-finite numbers in the summary and record become null. Raises `WeightsError` if the file cannot be
    written, or if its parts are inconsistent, so that `load` would reject it.
    """
    _check_vocab(file.vocab, file.config)
    if half and file.state:
        raise WeightsError("training cannot resume from 16-bit floats; expected a file without training state")
    arrays = _arrays(file)
    expected = _expected(file.config, file.state.config if file.state else None, _LATEST in arrays)
    if set(arrays) != set(expected):
        raise WeightsError(f"cannot save the arrays {sorted(arrays)}; expected {sorted(expected)}")
    for name, shape in expected.items():
        _check_array(name, arrays[name], shape, file.config)
    if half:
        arrays = {name: _halved(name, array) for name, array in arrays.items()}
    npz.write(path, {"meta": np.array(_meta_text(file, half)), **arrays})


def check_meta(file: WeightsFile) -> None:
    """Check, before hours of training, that the metadata is not too large to save; raises `WeightsError`."""
    _meta_text(file)


def load(path: StrPath) -> WeightsFile:
    """Read a weights file, or the shipped model with that name; validate it before allocating anything large.

    Raises `WeightsError` if the file is missing, in another format, damaged, newer than this library, or if its parts
    are inconsistent.
    """
    with npz.reading(_resolve_path(path)) as file:
        config, vocab, train_config, meta, expected = _read_outline(file)
        params = _read_params(file, config, meta["stored"] or config.dtype)
        state = None if train_config is None else _read_state(file, train_config, meta["training"], params, expected)
        return WeightsFile(config, vocab, params, meta["summary"], state)


def outline(path: StrPath) -> Outline:
    """Return a weights file's metadata, checked like `load` except for the values in the arrays.

    Reads only a few kilobytes, even from a large file. Raises `WeightsError`.
    """
    with npz.reading(_resolve_path(path)) as file:
        config, vocab, train_config, meta, _ = _read_outline(file)
        return Outline(config, vocab, meta["summary"], train_config)


def _read_outline(
    file: npz.NpzReader,
) -> tuple[NetworkSettings, Vocab, TrainingSettings | None, dict[str, Any], Shapes]:
    meta = _read_meta(file)
    config = NetworkSettings.from_dict(meta["config"])
    vocab = vocab_from_dict(meta["vocab"])
    _check_vocab(vocab, config)
    training = meta["training"]
    train_config = None if training is None else TrainingSettings.from_dict(training["config"])
    expected = _expected(config, train_config, _LATEST in file.names)
    file.require(expected, meta["stored"] or config.dtype, besides="meta")
    return config, vocab, train_config, meta, expected


def _resolve_path(path: StrPath) -> StrPath:
    """Return the path of a weights file, or of the shipped model with that name."""
    found = shipped.model_path(str(path))
    if found is None and str(path).isidentifier() and not os.path.exists(path):
        names = ", ".join(shipped.models())
        raise WeightsError(
            f"there is no file or shipped model named {path}; expected a weights file, or one of {names}"
        )
    return found or path


def check_output(path: StrPath, *, overwrite: bool, advice: str = _OVERWRITE_ADVICE) -> None:
    """Check, before hours of training, that `save` will be able to write the file; create its folder.

    Removes partial files that killed processes left beside it. Raises `StorageError` if the file cannot be written, or
    if it exists and `overwrite` is false; `advice` is the end of that message and says what to do.
    """
    if shipped.model_path(str(path)):
        raise StorageError(f"{path} is the name of a shipped model; expected another file name, such as {path}.npz")
    atomic.check_output(path, overwrite=overwrite, advice=advice)


def _expected(config: NetworkSettings, train: TrainingSettings | None, latest: bool) -> Shapes:
    found = shapes(config)
    if train is None:
        return found
    flat = [*(f"optimizer.{name}" for name in train.kept), *([_LATEST] if latest else [])]
    found.update(dict.fromkeys(flat, (count(config),)))
    for layer, sizes in enumerate(zip(config.state_sizes, config.layers, strict=True)):
        for part, size in zip("hc", sizes, strict=True):
            found[f"training.{part}.{layer}"] = (train.batch_size, size)
    return found


def _arrays(file: WeightsFile) -> dict[str, FloatArray]:
    _check_array("params", file.params, (count(file.config),), file.config)
    found = views(file.params, file.config)
    state = file.state
    if state is None:
        return found
    _check_array(_LATEST, state.params, file.params.shape, file.config)
    if not _same_bits(state.params, file.params):
        found[_LATEST] = state.params
    found |= {f"optimizer.{name}": slot for name, slot in state.slots.items()}
    found |= {f"training.h.{layer}": h for layer, h in enumerate(state.h)}
    found |= {f"training.c.{layer}": c for layer, c in enumerate(state.c)}
    return found


def _same_bits(a: FloatArray, b: FloatArray) -> bool:
    # Not ==, for which -0.0 equals 0.0: a resumed run must continue from the same bits.
    return np.array_equal(np.ascontiguousarray(a).view(np.uint8), np.ascontiguousarray(b).view(np.uint8))


def _halved(name: str, array: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        half: FloatArray = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise WeightsError(f"{name} has values up to {np.abs(array).max():g}; expected at most 65504 for 16-bit floats")
    return half


def _check_array(name: str, array: FloatArray, shape: tuple[int, ...], config: NetworkSettings) -> None:
    if array.shape != shape or array.dtype != np.dtype(config.dtype):
        found, expected = f"{array.dtype}{list(array.shape)}", f"{config.dtype}{list(shape)}"
        raise WeightsError(f"cannot save {name}: it is {found}; expected {expected}")
    _check_finite(name, array)


def _check_finite(name: str, array: FloatArray) -> None:
    if not np.isfinite(array).all():
        raise WeightsError(f"{name} contains non-finite values; use an earlier file or train again")


def _check_vocab(vocab: Vocab, config: NetworkSettings) -> None:
    if len(vocab) != config.vocab_size:
        raise WeightsError(f"the vocabulary has {len(vocab)} symbols; expected {config.vocab_size}")


def _meta_text(file: WeightsFile, half: bool = False) -> str:
    state = file.state
    training = state and {
        "config": state.config.to_dict(),
        "step": state.step,
        "record": _plain(state.record),
    }
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "library": __version__,
        "gates": GATES,
        "config": file.config.to_dict(),
        "vocab": file.vocab.to_dict(),
        "summary": _plain(file.summary),
        "training": training,
        **({"stored": HALF} if half else {}),
    }
    try:
        # ASCII: numpy drops NUL characters at a string's end, and paths may hold lone surrogates.
        text = json.dumps(meta, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"cannot save the summary or record: {error}; expected plain JSON") from error
    if 4 * len(text) + 1024 > npz.MAX_TEXT:
        raise WeightsError(
            f"cannot save {len(text):,} characters of settings, losses, vocabulary and names of texts; expected at "
            f"most {npz.MAX_TEXT // 4:,}: join many texts into one file, or use a smaller vocabulary"
        )
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_meta(file: npz.NpzReader) -> dict[str, Any]:
    if "meta" not in file.names:
        held = ", ".join(sorted(file.names))
        raise WeightsError(f"it was not written by numlstm: it has no meta, only {held!r:.80}")
    meta = json.loads(file.text("meta"), parse_constant=_refuse_constant)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise WeightsError(f"its meta does not name the format {FORMAT!r}; expected a file written by numlstm")
    _check_version(meta.get("version"))
    _check_types(meta, _META_TYPES, "meta")
    if meta.get("gates") != GATES:
        raise WeightsError(f"its gates are in the order {meta.get('gates')!r:.40}; expected {GATES!r}")
    if meta["training"] is not None:
        _check_types(meta["training"], _TRAINING_TYPES, "meta's training")
    if meta.setdefault("stored", None) not in (None, HALF) or (meta["stored"] and meta["training"] is not None):
        raise WeightsError(
            f"its arrays are stored as {meta['stored']!r:.40}; expected the network's own dtype, or {HALF!r} without "
            "training state"
        )
    return meta


def _refuse_constant(name: str) -> NoReturn:
    raise WeightsError(f"its meta holds {name}, which is not JSON")


def _check_version(version: object) -> None:
    if type(version) is not int or version < 1:
        raise WeightsError(f"its format version is {version!r:.40}; expected {VERSION}")
    if version > VERSION:
        raise WeightsError(
            f"its format version is {version!r:.40}, and numlstm {__version__} reads up to {VERSION}; upgrade numlstm"
        )


def _check_types(values: Mapping[str, Any], types: Mapping[str, Any], where: str) -> None:
    for name, expected in types.items():
        if name not in values or not isinstance(values[name], expected) or isinstance(values[name], bool):
            found = "missing" if name not in values else f"a {type(values[name]).__name__}"
            raise WeightsError(f"the entry {name!r} of its {where} is {found}; expected another type")


def _read_params(file: npz.NpzReader, config: NetworkSettings, stored: str) -> FloatArray:
    flat: FloatArray = np.empty(count(config), config.dtype)
    for name, view in views(flat, config).items():
        if stored == config.dtype:
            file.read(name, view)
        else:
            file.read(name, read := np.empty(view.shape, stored))
            view[...] = read
        _check_finite(f"its array {name}", view)
    return flat


def _read_state(
    file: npz.NpzReader, config: TrainingSettings, training: dict[str, Any], best: FloatArray, expected: Shapes
) -> TrainState:
    def read(name: str) -> FloatArray:
        out: FloatArray = np.empty(expected[name], best.dtype)
        file.read(name, out)
        _check_finite(f"its array {name}", out)
        return out

    step = training["step"]
    if not 0 <= step < 2**63:
        raise WeightsError(f"its step is {step!r:.40}; expected a whole number from 0 to 2**63 - 1")
    layers = range(sum(name.startswith("training.h.") for name in expected))
    return TrainState(
        config=config,
        step=step,
        params=read(_LATEST) if _LATEST in expected else best.copy(),
        slots={name: read(f"optimizer.{name}") for name in config.kept},
        h=[read(f"training.h.{layer}") for layer in layers],
        c=[read(f"training.c.{layer}") for layer in layers],
        record=training["record"],
    )

"""The reference backend: NumPy, one equation per line, to learn from and to test the other backends against.

lstm.py         one layer over a whole sequence, forward and backward; the output layer and the loss
drawing.py      drawing tokens
optimizers.py   Adam and the other updates
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..spec.gradients import global_norm, unscale_
from ..spec.host_text import hold, window
from ..spec.philox import uniforms
from .drawing import generate
from .lstm import (
    dense_backward,
    dense_forward,
    dropout,
    embed,
    embed_backward,
    lstm_backward,
    lstm_forward,
    pack_dense,
    pack_lstm,
    softmax_cross_entropy,
)
from .optimizers import adam_, approach_, clamp_, update_

__all__ = [
    "adam_",
    "approach_",
    "clamp_",
    "dense_backward",
    "dense_forward",
    "dropout",
    "embed",
    "embed_backward",
    "generate",
    "global_norm",
    "hold",
    "lstm_backward",
    "lstm_forward",
    "pack_dense",
    "pack_lstm",
    "softmax_cross_entropy",
    "uniforms",
    "unscale_",
    "update_",
    "window",
]

Array = npt.NDArray[Any]

name = "reference"
queued = False


def available() -> str:
    return ""


def describe() -> str:
    return "reference (NumPy)"


def about() -> dict[str, str]:
    return {"numpy": np.__version__}


def set_threads(threads: int | None) -> int:
    return 1


def asarray(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array:
    return np.array(values, dtype)


def to_numpy(array: Array) -> Array:
    return np.array(array)


def pack_rounded(layers: Sequence[Any], output: Any, rounding: str) -> None:
    return None


def zeros(shape: int | Sequence[int], dtype: npt.DTypeLike) -> Array:
    return np.zeros(shape, dtype)

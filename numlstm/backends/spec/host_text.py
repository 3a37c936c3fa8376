"""An encoded text in host memory, for backends that compute there: `Backend.hold` and `Backend.window`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def hold(ids: Array) -> None:
    """Return None: the text is read where it is."""
    return


def window(text: Array, starts: npt.NDArray[np.int64], length: int) -> tuple[Array, Array]:
    """Return inputs and targets (length, B): the windows of `text` at `starts (B)`."""
    read = np.asarray(text[np.arange(length + 1)[:, None] + starts], np.int32)
    return read[:-1], read[1:]

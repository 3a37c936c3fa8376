"""CuPy, imported when it is first used, so that this package can be imported, and asked what is missing, without it."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any


class _CuPy:
    def __getattr__(self, name: str) -> Any:
        if "cupy" not in sys.modules:
            _import()
        return getattr(importlib.import_module("cupy"), name)


def _import() -> None:
    """Import CuPy; a warning meanwhile is no reason to do without the GPU, even where warnings are errors."""
    with warnings.catch_warnings():
        if any(each[0] == "error" for each in warnings.filters):
            warnings.simplefilter("default")
        importlib.import_module("cupy")


cp: Any = _CuPy()

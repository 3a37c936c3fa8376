"""CuPy, imported on first use: without it, this package can still be imported and report what is missing."""

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
    """Import CuPy. A warning from it must not disable the GPU, even if warnings are errors."""
    with warnings.catch_warnings():
        if any(each[0] == "error" for each in warnings.filters):
            warnings.simplefilter("default")
        importlib.import_module("cupy")


cp: Any = _CuPy()

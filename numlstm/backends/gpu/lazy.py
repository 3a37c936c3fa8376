"""CuPy, imported when it is first used, so that this package can be imported, and asked what is missing, without it."""

from __future__ import annotations

import importlib
from typing import Any


class _CuPy:
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("cupy"), name)


cp: Any = _CuPy()

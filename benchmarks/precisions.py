"""The precisions of the contestants' matrix products, and how far results in each may be from exact ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

OURS = "numlstm"
FLOAT32, BF16 = "float32", "bf16"
BF16_MATH = "bf16 math"  # float32 numbers that oneDNN may round to bf16 for a product
TRAINED = (FLOAT32, BF16, "bf16x2", "bf16x3")  # numlstm's; unknown ones are left out with the reason
WRITTEN = (FLOAT32, BF16, "int8")  # numlstm's for generation
TORCH = (FLOAT32, BF16, BF16_MATH)
MATH_MODE = {BF16_MATH: {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}}  # environment variables of a precision's workers

# Largest relative errors. The gradient's is that of each parameter: norm of the difference / norm of the exact one.
_FULL = {"loss": 1e-4, "gradient_norm": 1e-4, "gradient": 2e-5}
_ROUNDED = {"loss": 1e-2, "gradient_norm": 5e-2, "gradient": 5e-2}
TOLERANCES = {
    FLOAT32: _FULL,
    "bf16x3": _FULL,
    "bf16x2": {"loss": 1e-3, "gradient_norm": 1e-3, "gradient": 1e-3},
    BF16: _ROUNDED,
    BF16_MATH: _ROUNDED,
}


def contestant(program: str, precision: str, variant: str = "") -> str:
    """Return a contestant's name, such as `numlstm` (float32), `numlstm bf16` or `torch bf16 math tuned`."""
    return " ".join(word for word in (program, "" if precision == FLOAT32 else precision, variant) if word)


def precision_of(name: str) -> str:
    """Return the precision in a contestant's name."""
    words = name.split()[1:]
    return " ".join(word for word in words if word not in ("default", "tuned")) or FLOAT32


def is_ours(name: str) -> bool:
    """Return True if the contestant is numlstm."""
    return name.split()[0] == OURS


def ratios_key(precision: str) -> str:
    """Return the key of the ratios of numlstm in this precision: `ratios` (float32), `ratios_bf16` ..."""
    return "ratios" if precision == FLOAT32 else f"ratios_{precision}"


def ours_in(names: Iterable[str]) -> dict[str, str]:
    """Return numlstm's contestants by their precision."""
    return {precision_of(name): name for name in names if is_ours(name)}


def tolerances(name: str) -> Mapping[str, Any]:
    """Return the tolerances for a contestant."""
    return TOLERANCES[precision_of(name)]

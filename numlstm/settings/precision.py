"""The precision of matrix products, and that of the weights that write text."""

from __future__ import annotations

from ..errors import ConfigError

PRECISIONS = ("float32", "bf16", "tf32", "fp16")
AUTO = "auto"  # a new run chooses one of them
TEXT_PRECISIONS = ("float32", "bf16", "int8")


def check_precision(precision: object, dtype: str = "float32") -> None:
    """Check the precision of the matrix products of a network with parameters of `dtype`.

    "float32" computes in the parameters' own dtype. The others round the factors and accumulate in float32: "bf16" has
    8 significant bits, "tf32" and "fp16" have 11, and "fp16" holds nothing above 65504. Raises `ConfigError` for any
    other precision, and for a rounded one if the parameters are not float32.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"`precision` is {precision!r}; expected {' or '.join(PRECISIONS)}")
    if precision != "float32" and dtype != "float32":
        raise ConfigError(f"`dtype` is {dtype!r}; expected float32 for precision {precision}")


def rounding_of(precision: object) -> str:
    """Return what the weights are rounded to for writing text: "" for float32, "bf16" or "int8".

    Raises `ConfigError` for any other precision.
    """
    if precision not in TEXT_PRECISIONS:
        raise ConfigError(f"`precision` is {precision!r}; expected {' or '.join(TEXT_PRECISIONS)}")
    return "" if precision == "float32" else str(precision)

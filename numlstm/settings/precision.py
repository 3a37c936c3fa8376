"""How precisely products are computed."""

from __future__ import annotations

from ..errors import ConfigError

PRECISIONS = ("float32", "bf16", "tf32", "fp16")


def check_precision(precision: object, dtype: str = "float32") -> None:
    """Check how the products of a network with parameters of `dtype` are to be computed.

    "float32" means in the parameters' own dtype. The others sum in float32 what they multiply from rounded factors: of
    8 significant bits in "bf16", of 11 in "tf32" and "fp16", which holds nothing above 65504. Raises `ConfigError` for
    anything else, and for one of these where the parameters are not float32.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"`precision` is {precision!r}; expected {' or '.join(PRECISIONS)}")
    if precision != "float32" and dtype != "float32":
        raise ConfigError(f"`dtype` is {dtype!r}; expected float32 where the precision is {precision}")

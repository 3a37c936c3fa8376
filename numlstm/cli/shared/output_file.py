"""Keep a command from overwriting its own input."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...errors import ConfigError


def check_not_read(option: str, output: str, read: Sequence[str]) -> None:
    """Raise `ConfigError` if an output would overwrite one of the input files."""
    if os.path.realpath(output) in map(os.path.realpath, read):
        raise ConfigError(f"{option} is {output}, which is also an input; expected another file name")

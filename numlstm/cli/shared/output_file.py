"""Outputs that commands on texts write: never over a file unasked.

Knows nothing about what is written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...errors import ConfigError


def check_not_read(option: str, output: str, read: Sequence[str]) -> None:
    """Raise `ConfigError` if an output would replace one of the files that are read."""
    if os.path.realpath(output) in map(os.path.realpath, read):
        raise ConfigError(f"{option} is {output}, which is to be read; expected the name of another file")

"""Outputs that commands on texts write: never over a file unasked.

Knows nothing about what is written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from ...errors import ConfigError

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]


def check_free(output: str, *, overwrite: bool) -> None:
    """Raise a `NumlstmError` if an output exists and is not to be replaced, or cannot be written."""
    from ...storage import atomic

    if not overwrite and atomic.exists(output):
        raise ConfigError(f"{output} exists; use --overwrite to replace it, or -o to name another file")
    atomic.check_writable(output)


def check_not_read(option: str, output: str, read: Sequence[str]) -> None:
    """Raise `ConfigError` if an output would replace one of the files that are read."""
    if os.path.realpath(output) in map(os.path.realpath, read):
        raise ConfigError(f"{option} is {output}, which is to be read; expected the name of another file")

"""Outputs that commands on texts write: never over a file unasked.

Knows nothing about what is written.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import ConfigError

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]


def check_free(output: str, *, overwrite: bool) -> None:
    """Raise a `NumlstmError` if an output exists and is not to be replaced, or cannot be written."""
    from .. import whole_file

    if not overwrite and whole_file.exists(output):
        raise ConfigError(f"{output} exists; use --overwrite to replace it, or -o to name another file")
    whole_file.check_writable(output)

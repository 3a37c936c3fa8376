"""The options of `numlstm train` that say what the tokens of the text are to be.

Each is None, or False for a flag, where it was not given.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, show_default=False, rich_help_panel="Text", **more)


LevelName = Annotated[
    str | None,
    _option(
        "What a token is: [bold]char[/bold], [bold]byte[/bold] (any file at all) or [bold]word[/bold].  "
        "[dim]\\[default: char][/dim]",
        "--level",
        metavar="LEVEL",
    ),
]
VocabSize = Annotated[
    int | None,
    _option(
        "Keep the N most frequent words, others become <unk>.  "
        "[dim]\\[default: 20000, of those that occur twice][/dim]",
        metavar="N",
    ),
]
MinCount = Annotated[int | None, _option("Keep the words that occur N times, instead or besides.", metavar="N")]
Pretokenised = Annotated[
    bool, _option("The text is words with spaces between: split it there, and nowhere else.", "--pretokenised")
]

"""`numlstm corpus stats`: what a text consists of, possible problems, and how to train on it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..shared.options import Json, stderr
from ..shared.wording import counted

if TYPE_CHECKING:
    from ...corpus_tools.stats import Stats

_RARE = 12  # rare characters shown
_SHOWN = 70  # characters shown of a passage


def stats(
    corpus: Annotated[
        list[str],
        typer.Argument(metavar="CORPUS...", help="A corpus name, files, folders, globs, or - for standard input."),
    ],
    encoding: Annotated[
        str | None,
        typer.Option(help="Character encoding of the text.  [dim]\\[default: detected][/dim]", show_default=False),
    ] = None,
    json_: Json = False,
) -> None:
    """Describe a text: size, characters, repetitions, possible problems, and a network that suits it.

    The suggested network has about as many parameters as the text has characters
    (Karpathy's rule of thumb), but is not smaller than the default of 128,128 if
    the text has at least a tenth as many characters as that has parameters.

    Example:

    [bold]numlstm corpus stats all.txt[/bold]
    """
    from ...corpus_tools.stats import stats as found_in
    from ...text.sources.find import resolve
    from ..shared.reading_progress import reading_progress

    with reading_progress() as report:
        found = found_in(resolve(corpus, None, report), encoding, report)
    if json_:
        print(json.dumps(_facts(found, corpus)))
        return
    _print(found, corpus)


def _command(found: Stats, corpus: Sequence[str]) -> str:
    encodings = {encoding for _, encoding in found.sources} - {"utf-8", "ascii"}
    encoding = f" --encoding {encodings.pop()}" if len(encodings) == 1 else ""
    return f"numlstm train {shlex.join(corpus)} {found.suggestion.options()}{encoding}"


def _facts(found: Stats, corpus: Sequence[str]) -> dict[str, Any]:
    suggestion = found.suggestion
    return {
        "sources": [{"name": name, "encoding": encoding} for name, encoding in found.sources],
        "characters": found.characters,
        "bytes": found.size,
        "lines": found.lines,
        "longest_line": found.longest_line,
        "distinct": found.distinct,
        "rare": [{"symbol": c.symbol, "code": c.code, "name": c.name, "count": c.count} for c in found.rare],
        "searched": found.searched,
        "repeated_share": found.repeated_share,
        "repeated": [
            {"start": p.start, "before": p.before, "length": p.length, "text": p.text} for p in found.passages
        ],
        "suggestion": {
            "layers": [suggestion.units] * 2,
            "parameters": suggestion.parameters,
            "dropout": suggestion.dropout,
            "command": _command(found, corpus),
        },
        "warnings": list(found.warnings),
    }


def _print(found: Stats, corpus: Sequence[str]) -> None:
    print(f"text        {found.characters:,} characters, {found.size:,} bytes as UTF-8, from {_sources(found)}")
    print(f"lines       {found.lines:,}, the longest of {found.longest_line:,} characters")
    print(f"distinct    {found.distinct:,} characters")
    if found.rare:
        print(f"rare        {len(found.rare):,} occur fewer than 10 times:")
        for each in found.rare[:_RARE]:
            print(f"            {each.count} × {each.code} {each.name} {_visible(each.symbol)}".rstrip())
        if len(found.rare) > _RARE:
            print(f"            and {len(found.rare) - _RARE:,} more")
    part = "" if found.searched == found.characters else f" (of the first {found.searched:,} characters)"
    print(f"repeated    {100 * found.repeated_share:.1f} % of the text repeats earlier text{part}")
    for passage in found.passages:
        print(f"            {passage.length:,} characters: {_short(passage.text)}")
    suggestion = found.suggestion
    print(
        f"suggested   two layers of {suggestion.units} units, {suggestion.parameters:,} parameters, "
        f"{suggestion.parameters / found.characters:.1f} per character:"
    )
    print(f"            {_command(found, corpus)}")
    for warning in found.warnings:
        stderr().print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)


def _sources(found: Stats) -> str:
    encodings = ", ".join(sorted({encoding for _, encoding in found.sources}))
    return f"{counted(len(found.sources), 'file')} in {encodings}"


def _visible(symbol: str) -> str:
    return symbol if symbol.isprintable() and not symbol.isspace() else ""


def _short(text: str) -> str:
    flat = "".join(symbol if symbol.isprintable() else "?" for symbol in " ".join(text.split()))
    return repr(flat if len(flat) <= _SHOWN else f"{flat[: _SHOWN - 1]}…")

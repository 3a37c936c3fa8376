"""`numlstm corpus combine`: combine many files into one text and report what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import ConfigError
from ..shared.options import Overwrite, stderr
from ..shared.wording import counted

if TYPE_CHECKING:
    from ...corpus_tools.combine import Combined

_LISTED = 20  # files listed of each kind that was left out


def combine(
    folders: Annotated[
        list[str], typer.Argument(metavar="FOLDER...", help="Files, or folders to search at any depth.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="File for the combined text, as UTF-8.")
    ],
    overwrite: Overwrite = False,
    format: Annotated[
        str | None,
        typer.Option(
            help="Read exported chats or posts instead: [bold]whatsapp[/bold] (.txt), [bold]telegram[/bold], "
            "[bold]facebook[/bold] (messages and posts) or [bold]mastodon[/bold] (outbox), all .json.",
            show_default=False,
        ),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="From exports, keep only what this person wrote.", show_default=False),
    ] = None,
    names: Annotated[
        bool | None,
        typer.Option(
            "--names/--no-names",
            help="From exports, write who said it: `Name: text`.  [dim]\\[default: --names, unless --sender][/dim]",
            show_default=False,
        ),
    ] = None,
    delimiter: Annotated[
        str,
        typer.Option(
            help="Text to insert between two files; \\n is a line break.  [dim]\\[default: an empty line][/dim]",
            show_default=False,
        ),
    ] = "\\n",
    keep_repeats: Annotated[
        bool,
        typer.Option("--keep-repeats", help="Keep identical files, and repeated paragraphs of 60 or more characters."),
    ] = False,
    encoding: Annotated[
        str, typer.Option(help="Character encoding of text files without a byte-order mark, such as cp1252 or cp949.")
    ] = "utf-8",
) -> None:
    """Combine all .txt, .md, .html, .epub, .docx and .pdf files in folders into one text, in order of their names.

    Files that cannot be read are listed and left out, as are duplicates. For
    chats and posts exported from WhatsApp, Telegram, Facebook or Mastodon, use
    --format. For .docx and .pdf: [bold]pip install 'numlstm\\[documents]'[/bold]

    Examples:

    [bold]numlstm corpus combine diary/ letters/ -o all.txt[/bold]

    [bold]numlstm corpus combine chats/ --format whatsapp --sender "Anna" -o anna.txt[/bold]
    """
    if format is None and (sender is not None or names is not None):
        raise ConfigError("--sender and --names are for exports; expected --format too, such as --format whatsapp")
    if format is not None and encoding != "utf-8":
        raise ConfigError("give either --encoding or --format, not both: exports are read as UTF-8")
    from ...corpus_tools.combine import CombineOptions
    from ...corpus_tools.combine import combine as combined
    from ...storage import atomic
    from ...text.sources.decode import check_encoding
    from ..shared.reading_progress import reading_progress

    check_encoding(encoding)
    from ...storage.atomic import check_output

    check_output(output, overwrite=overwrite)
    options = CombineOptions(_unescaped(delimiter), encoding, keep_repeats, format, sender, names)
    with atomic.atomic_write(output) as out, reading_progress() as report:
        done = combined(folders, atomic.output_target(output), out, options, report)
    _report(done, output)


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t")


def _report(done: Combined, output: str) -> None:
    say = _say
    say(f"{output}: {counted(done.characters, 'character')} from {counted(done.files, 'file')}")
    _list("left out, unreadable", [f"{name}: {reason}" for name, reason in done.skipped])
    _list("left out, duplicates", [f"{name}: the same as {same}" for name, same in done.repeated])
    _list("left out, without text", done.without_text)
    if done.paragraphs:
        say(f"left out, repeated paragraphs: {done.paragraphs:,} of {done.paragraph_characters:,} characters")
    if done.others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in list(done.others.items())[:8])
        say(f"not read: {kinds}{' and others' if len(done.others) > 8 else ''}")
    say(f"next: numlstm corpus stats {output}")


def _list(heading: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    _say(f"{heading}: {len(lines):,}")
    for line in lines[:_LISTED]:
        _say(f"  {line}")
    if len(lines) > _LISTED:
        _say(f"  and {len(lines) - _LISTED:,} more")


def _say(line: str) -> None:
    stderr().print(line, markup=False, soft_wrap=True)

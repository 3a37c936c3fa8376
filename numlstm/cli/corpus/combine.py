"""`numlstm corpus combine`: one text of many files, and what was left out of it.

Knows nothing about how files are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import ConfigError
from ..shared.options import Overwrite, stderr

if TYPE_CHECKING:
    from ...corpus_tools.combine import Combined

_LISTED = 20  # files that are named, of each kind that was left out


def combine(
    folders: Annotated[
        list[str], typer.Argument(metavar="FOLDER...", help="Folders, looked through at any depth, or files.")
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The text, as UTF-8.")],
    overwrite: Overwrite = False,
    format: Annotated[
        str | None,
        typer.Option(
            help="Read exports instead of documents: [bold]whatsapp[/bold] (.txt), [bold]telegram[/bold], "
            "[bold]facebook[/bold] (messages and posts) or [bold]mastodon[/bold] (outbox), all .json.",
            show_default=False,
        ),
    ] = None,
    sender: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of exports only what this one wrote.", show_default=False)
    ] = None,
    names: Annotated[
        bool | None,
        typer.Option(
            "--names/--no-names",
            help="Of exports write who said it: `Name: text`.  [dim]\\[default: unless --sender][/dim]",
            show_default=False,
        ),
    ] = None,
    delimiter: Annotated[
        str,
        typer.Option(
            help="What stands between two files; \\n is a line's end.  [dim]\\[default: an empty line][/dim]",
            show_default=False,
        ),
    ] = "\\n",
    keep_repeats: Annotated[
        bool,
        typer.Option(
            "--keep-repeats", help="Keep files that are the same, and paragraphs of 60 characters or more that recur."
        ),
    ] = False,
    encoding: Annotated[
        str, typer.Option(help="How text files without a byte-order mark are to be read, such as cp1252 or cp949.")
    ] = "utf-8",
) -> None:
    """Make one text of all .txt, .md, .html, .epub, .docx and .pdf files of folders, in the order of their names.

    What cannot be read is named and left out, and so is what is there twice. Chats and posts that WhatsApp, Telegram,
    Facebook or Mastodon hand out are read with --format. For .docx and .pdf: [bold]pip install
    'numlstm\\[documents]'[/bold]

    Examples:

    [bold]numlstm corpus combine diary/ letters/ -o all.txt[/bold]

    [bold]numlstm corpus combine chats/ --format whatsapp --sender "Anna" -o anna.txt[/bold]
    """
    if format is None and (sender is not None or names is not None):
        raise ConfigError("--sender and --names are for exports; expected --format too, such as --format whatsapp")
    if format is not None and encoding != "utf-8":
        raise ConfigError(f"--encoding is {encoding} with --format {format}; expected one of them: exports are UTF-8")
    from ...corpus_tools.combine import Wishes
    from ...corpus_tools.combine import combine as combined
    from ...storage import atomic
    from ...text.sources.decode import check_encoding
    from ..shared.reading_progress import reading

    check_encoding(encoding)
    from ...storage.atomic import check_output

    check_output(output, overwrite=overwrite)
    wishes = Wishes(_unescaped(delimiter), encoding, keep_repeats, format, sender, names)
    with atomic.writing(output) as out, reading() as report:
        done = combined(folders, atomic.output_target(output), out, wishes, report)
    _report(done, output)


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t")


def _report(done: Combined, output: str) -> None:
    say = _say
    files = f"{done.files:,} file{'s' * (done.files != 1)}"
    say(f"{output}: {done.characters:,} characters of {files}")
    _list("left out, unreadable", [f"{name}: {reason}" for name, reason in done.skipped])
    _list("left out, there already", [f"{name}: the same as {same}" for name, same in done.repeated])
    _list("left out, without text", done.without_text)
    if done.paragraphs:
        say(f"left out, repeated paragraphs: {done.paragraphs:,} of {done.paragraph_characters:,} characters")
    if done.others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in list(done.others.items())[:8])
        say(f"not looked at: {kinds}{' and others' if len(done.others) > 8 else ''}")
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

"""`numlstm corpus clean`: a text without what is not part of it, and what that was.

Knows nothing about how a text is cleaned.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..shared.options import Encoding, Overwrite, stderr


def clean(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A text file, or - for standard input.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The clean text, as UTF-8.")],
    overwrite: Overwrite = False,
    normalise: Annotated[
        str | None,
        typer.Option(
            metavar="NFC|NFKC",
            help="Write each character in one way: [bold]NFC[/bold] puts letters and accents together, "
            "[bold]NFKC[/bold] also makes plain ones of ligatures, wide and small forms.",
            show_default=False,
        ),
    ] = None,
    keep_gutenberg: Annotated[
        bool, typer.Option("--keep-gutenberg", help="Keep Project Gutenberg's headers and licence.")
    ] = False,
    keep_controls: Annotated[
        bool, typer.Option("--keep-controls", help="Keep control characters and invisible ones.")
    ] = False,
    keep_space: Annotated[
        bool, typer.Option("--keep-space", help="Keep special spaces, spaces at lines' ends and rows of empty lines.")
    ] = False,
    encoding: Encoding = "utf-8",
) -> None:
    """Clean a text: Project Gutenberg's headers and licence, control characters, white space and line ends.

    It says what was removed. Of several books in one file each is found.

    Example:

    [bold]numlstm corpus clean pg103.txt -o verne.txt --normalise NFC[/bold]
    """
    from ...corpus_tools.clean import Steps, cleaned
    from ...errors import CorpusError
    from ...storage import atomic
    from ...text.sources.decode import check_encoding, pieces
    from ...text.sources.find import resolve
    from ..shared.reading_progress import reading

    check_encoding(encoding)
    steps = Steps(not keep_gutenberg, not keep_controls, not keep_space, normalise)
    from ...storage.atomic import check_output

    check_output(output, overwrite=overwrite)
    with reading() as report:
        sources = resolve([file], None, report)
        text = "".join(piece for source in sources for piece in pieces(source, encoding))
    found, removed = cleaned(text, steps)
    if not found.strip():
        raise CorpusError(f"{file} holds no text ({len(text):,} characters before); nothing was written")
    with atomic.writing(output) as out:
        out.write(found.encode("utf-8", "replace"))
    say = stderr().print
    for line in removed or ["there was nothing to clean"]:
        say(line, markup=False, soft_wrap=True)
    say(f"{output}: {len(found):,} of {len(text):,} characters", markup=False, soft_wrap=True)

"""`numlstm corpus clean`: clean a text file and report what was removed."""

from __future__ import annotations

from typing import Annotated

import typer

from ..shared.options import Encoding, Overwrite, stderr


def clean(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A text file, or - for standard input.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="File for the cleaned text, as UTF-8.")],
    overwrite: Overwrite = False,
    normalise: Annotated[
        str | None,
        typer.Option(
            metavar="NFC|NFKC",
            help="Unicode normalisation: [bold]NFC[/bold] combines letters and accents into single characters, "
            "[bold]NFKC[/bold] also replaces ligatures, wide and small forms by plain letters.",
            show_default=False,
        ),
    ] = None,
    keep_gutenberg: Annotated[
        bool, typer.Option("--keep-gutenberg", help="Keep Project Gutenberg's headers and licence.")
    ] = False,
    keep_controls: Annotated[
        bool, typer.Option("--keep-controls", help="Keep control and invisible characters.")
    ] = False,
    keep_space: Annotated[
        bool, typer.Option("--keep-space", help="Keep special spaces, trailing spaces and runs of empty lines.")
    ] = False,
    encoding: Encoding = "utf-8",
) -> None:
    """Clean a text: Project Gutenberg's headers and licence, control characters, white space and line ends.

    Reports what was removed. Handles several books in one file.

    Example:

    [bold]numlstm corpus clean pg103.txt -o verne.txt --normalise NFC[/bold]
    """
    from ...corpus_tools.clean import Steps
    from ...corpus_tools.clean import clean as clean_text
    from ...errors import CorpusError
    from ...storage import atomic
    from ...text.sources.decode import check_encoding, pieces
    from ...text.sources.find import resolve
    from ..shared.reading_progress import reading_progress

    check_encoding(encoding)
    steps = Steps(not keep_gutenberg, not keep_controls, not keep_space, normalise)
    from ...storage.atomic import check_output

    check_output(output, overwrite=overwrite)
    with reading_progress() as report:
        sources = resolve([file], None, report)
        text = "".join(piece for source in sources for piece in pieces(source, encoding))
    found, removed = clean_text(text, steps)
    if not found.strip():
        raise CorpusError(
            f"{file} has no text left after cleaning ({len(text):,} characters before); nothing was written"
        )
    with atomic.atomic_write(output) as out:
        out.write(found.encode("utf-8", "replace"))
    say = stderr().print
    for line in removed or ["there was nothing to clean"]:
        say(line, markup=False, soft_wrap=True)
    say(f"{output}: {len(found):,} of {len(text):,} characters", markup=False, soft_wrap=True)

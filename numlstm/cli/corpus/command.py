"""`numlstm corpus`: the named corpora, and the commands that gather, clean and judge a text of one's own.

`list`, `get` and `path` are here; what the others do is in the files of their names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import _SETTINGS
from ..shared.options import Json, stderr
from .clean import clean
from .combine import combine
from .stats import stats

if TYPE_CHECKING:
    from ...text.sources.catalog import Entry

corpus = typer.Typer(
    **_SETTINGS,
    no_args_is_help=True,
    help="Find a text to train on, or make one of your own files.\n\n"
    "[bold]numlstm corpus list[/bold]\n\n[bold]numlstm corpus combine diary/ chats/ -o all.txt[/bold]\n\n"
    "[bold]numlstm corpus stats all.txt[/bold]",
)

_Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names that [bold]list[/bold] shows.")]


@corpus.command("list")
def list_(json_: Json = False) -> None:
    """List the corpora that have a name: what they are, and whether they are on this machine.

    Example:

    [bold]numlstm corpus list[/bold]
    """
    from ...text.sources.catalog import entries

    found = list(entries().values())
    if json_:
        print(json.dumps([facts(entry) for entry in found], ensure_ascii=False))
        return
    from .table import show

    show(found)


@corpus.command()
def get(
    names: _Names,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Download again, also if the text has changed at its address.")
    ] = False,
) -> None:
    """Download named corpora, so that they are there without a network.

    Each is checked against the checksum that numlstm knows or, where it knows none, that of the first download.

    Example:

    [bold]numlstm corpus get shakespeare alice[/bold]
    """
    from ...text.sources.catalog import entry
    from ...text.sources.named import is_here, text_path
    from ..shared.reading_progress import reading

    wanted = [entry(name) for name in names]
    for each in wanted:
        before = is_here(each) and not (refresh and each.source == "download")
        with reading() as report:
            path = text_path(each, report, refresh=refresh)
        done = "is here" if before else "downloaded"
        size = f"{path.stat().st_size:,} bytes"
        stderr().print(f"{each.name}: {done}, {size}, licence {each.licence}: {path}", markup=False, soft_wrap=True)


@corpus.command()
def path(names: _Names) -> None:
    """Print where the texts of named corpora are, one path a line, for use in scripts; download them if need be.

    Example:

    [bold]wc "$(numlstm corpus path shakespeare)"[/bold]
    """
    from ...text.sources.catalog import entry
    from ...text.sources.named import text_path
    from ..shared.reading_progress import reading

    for each in [entry(name) for name in names]:
        with reading() as report:
            found = text_path(each, report)
        print(found)


corpus.command()(combine)
corpus.command()(clean)
corpus.command()(stats)


def facts(entry: Entry) -> dict[str, Any]:
    """Return what is known of a corpus, for `--json`."""
    from ...text.sources.named import is_here, text_size

    size, exact = text_size(entry)
    return {
        "name": entry.name,
        "title": entry.title,
        "author": entry.author,
        "language": entry.language,
        "licence": entry.licence,
        "source": entry.source,
        "urls": list(entry.urls),
        "bytes": size,
        "exact": exact,
        "here": is_here(entry),
    }

"""`numlstm corpus`: the named corpora, and the commands that combine, clean and examine a text of your own.

`list`, `get` and `path` are here; each other command has its own module.
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
    help="Find a text to train on, or make one from your own files.\n\n"
    "[bold]numlstm corpus list[/bold]\n\n[bold]numlstm corpus combine diary/ chats/ -o all.txt[/bold]\n\n"
    "[bold]numlstm corpus stats all.txt[/bold]",
)

_Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Names listed by [bold]numlstm corpus list[/bold].")
]


@corpus.command("list")
def list_(json_: Json = False) -> None:
    """List the named corpora, and whether they are already on this machine.

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
        bool, typer.Option("--refresh", help="Download again, even if the text at the URL has changed.")
    ] = False,
) -> None:
    """Download named corpora for use without a network.

    Each is verified against the checksum that numlstm knows or, if it knows none,
    that of the first download.

    Example:

    [bold]numlstm corpus get shakespeare alice[/bold]
    """
    from ...text.sources.catalog import entry
    from ...text.sources.named import is_offline, text_path
    from ..shared.reading_progress import reading_progress

    wanted = [entry(name) for name in names]
    for each in wanted:
        before = is_offline(each) and not (refresh and each.source == "download")
        with reading_progress() as report:
            path = text_path(each, report, refresh=refresh)
        done = "already here" if before else "downloaded"
        size = f"{path.stat().st_size:,} bytes"
        stderr().print(f"{each.name}: {done}, {size}, licence {each.licence}: {path}", markup=False, soft_wrap=True)


@corpus.command()
def path(names: _Names) -> None:
    """Print the paths of named corpora, one per line, for use in scripts.

    Downloads them if necessary.

    Example:

    [bold]wc "$(numlstm corpus path shakespeare)"[/bold]
    """
    from ...text.sources.catalog import entry
    from ...text.sources.named import text_path
    from ..shared.reading_progress import reading_progress

    for each in [entry(name) for name in names]:
        with reading_progress() as report:
            found = text_path(each, report)
        print(found)


corpus.command()(combine)
corpus.command()(clean)
corpus.command()(stats)


def facts(entry: Entry) -> dict[str, Any]:
    """Return the facts on a corpus for `--json`."""
    from ...text.sources.named import is_offline, text_size

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
        "here": is_offline(entry),
    }

"""`numlstm score`: how likely a model finds each token of a text, and what surprises it most."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import ConfigError, CorpusError
from ...network.loss_units import bits, perplexity
from ..shared.options import Device, DropUnknown, Encoding, Json, Threads, Weights, open_backend
from ..shared.output_file import check_not_read
from ..shared.work_progress import spinner

if TYPE_CHECKING:
    from ...analysis.score import Place, Surprises, Totals
    from ...analysis.score_page import Row
    from ...model import Model
    from ...text.dataset.corpus import Corpus
    from .tables import Table

_BEFORE, _AFTER = 30, 12  # tokens shown around a surprising one


def score(
    weights: Weights,
    corpus: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Files, corpus names, folders, globs, or - for standard input."),
    ],
    places: Annotated[int, typer.Option(help="Number of most surprising places to show.")] = 10,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write a web page that colours the text by surprise and shows for each token what was likelier; an "
            "existing file is replaced. It contains the first 50,000 tokens.",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table with a line per token.")] = False,
    encoding: Encoding = "utf-8",
    drop_unknown: DropUnknown = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Show how likely a model finds each token of a text, given all the text before it.

    A token is a character, byte or word, depending on the model. The text is
    read as one stream, from file to file in the order given; the first token is
    not predicted. The totals equal those of [bold]numlstm eval[/bold]. [bold]--json[/bold] and [bold]--csv[/bold]
    output the log-probability of each token in nats.

    Examples:

    [bold]numlstm score weights.npz essay.txt --html essay.html[/bold]

    [bold]echo "To be, or not to be" | numlstm score weights.npz - --csv[/bold]
    """
    from ...analysis.score import Surprises, Totals
    from ...model import Model
    from ...network import weights_file as files
    from ...storage.atomic import check_writable
    from ...text.dataset.corpus import load_corpus
    from ..shared.reading_progress import reading_progress

    if json_ and csv:
        raise ConfigError("give either --json or --csv, not both")
    if places < 0:
        raise ConfigError(f"--places is {places}; expected a whole number from 0")
    if html is not None:
        check_writable(html)  # fail before reading anything
    file = files.load(weights)
    with reading_progress() as report:
        text = load_corpus(corpus, encoding=encoding, vocab=file.vocab, drop_unknown=drop_unknown, report=report)
    if html is not None:
        check_not_read("--html", html, [weights, *text.sources])
    if len(text.ids) < 2:
        unit = file.vocab.unit
        raise CorpusError(f"the text has {len(text.ids)} {unit}; expected at least 2, one to predict the other from")
    totals, surprises, table = Totals(), Surprises(places), _table(text, json_, csv)
    title = f"{', '.join(corpus)}, as {os.path.basename(weights)} reads it"
    with spinner(f"reading {len(text.ids):,} {text.vocab.unit}s"):
        model = Model(file.config, file.params, open_backend(device, threads), vocab=file.vocab)
        _read(model, text, totals, surprises, table, html, title)
    if table:
        table.end(totals)
    else:
        _print(text, totals, surprises.places)
    if html is not None:
        print(f"wrote {html}", file=sys.stderr)


def _table(text: Corpus, json_: bool, csv: bool) -> Table | None:
    from .tables import Csv, Json

    return Json(text) if json_ else Csv(text) if csv else None


def _read(
    model: Model,
    text: Corpus,
    totals: Totals,
    surprises: Surprises,
    table: Table | None,
    html: str | None,
    title: str,
) -> None:
    """Score the text in one pass, and pass the scores to each consumer."""
    from ...analysis.score import scores
    from ...analysis.score_page import ALTERNATIVES, Tokens, page
    from ...storage.atomic import atomic_write

    tokens = None if html is None else Tokens(text.vocab, text.ids)
    for found in scores(model, text.ids, alternatives=ALTERNATIVES):
        for taker in (totals, surprises, table, tokens):
            if taker is not None:
                taker.add(found)
    if tokens is not None and html is not None:
        written = page(title, tokens, totals, rows(text, surprises.places))
        with atomic_write(html) as file:
            file.write(written.encode("utf-8", "replace"))


def rows(text: Corpus, places: Sequence[Place]) -> list[Row]:
    """Return the surprising places as rows for display."""
    from ...analysis.score_page import Row, chance, likelier
    from ...text.vocab import display

    found = []
    for place in places:
        at = place.at
        name, start = next((name, start) for name, start, end in text.parts if start <= at < end)
        line = f"{display.line_ends(text.vocab, text.ids[start:at]) + 1:,}"
        before, label, after = _around(text, at)
        found.append(
            Row(
                at,
                line if len(text.parts) == 1 else f"{name}:{line}",
                bits(-place.log_probability),
                chance(place.log_probability),
                before,
                label,
                after,
                likelier(text.vocab, place),
            )
        )
    return found


def _around(text: Corpus, at: int) -> tuple[str, str, str]:
    """Return the text before, of and after a token; for a byte, the text of the character that contains it."""
    from ...text.vocab import display

    ids, low, high = text.ids, max(0, at - _BEFORE), min(at + 1 + _AFTER, len(text.ids))
    if text.vocab.level == "byte":  # extend to whole characters, of up to 4 bytes each
        low -= next((n for n in range(min(4, low + 1)) if ids[low - n] & 0xC0 != 0x80), 0)
        high += next((n for n in range(min(4, len(ids) - high)) if ids[high + n] & 0xC0 != 0x80), 0)
    found, place = ["", "", ""], low
    for piece, count in display.grouped(display.pieces(text.vocab, text.vocab.decoder(), ids[low:high])):
        found[0 if place + count <= at else 1 if place <= at else 2] += piece
        place += count
    return found[0], found[1], found[2]


def _print(text: Corpus, totals: Totals, places: Sequence[Place]) -> None:
    unit, nats = text.vocab.unit, totals.nats / totals.tokens
    print(f"{nats:.4f} nats per {unit}, {bits(nats):.4f} bits, perplexity {perplexity(nats):.3f}")
    dropped = f", {text.dropped:,} unknown ones left out" if text.dropped else ""
    print(f"{totals.tokens:,} {unit}s predicted, {totals.nats:,.2f} nats in all{dropped}")
    print(
        f"{totals.first / totals.tokens:.1%} were the likeliest one, {totals.among_five / totals.tokens:.1%} among the "
        "five likeliest"
    )
    if text.unknown:
        print(f"{text.unknown:,} {unit}s are not in the vocabulary and were read and predicted as <unk>")
    if places:
        print("\nThe most surprising places:")
        _print_places(rows(text, places))


def _print_places(found: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..shared.network_summary import printable

    table = Table(box=None, pad_edge=False)
    for heading, side in (("line", "right"), ("bits", "right"), ("probability", "right"), ("place", "left")):
        table.add_column(heading, justify=side, no_wrap=side == "right")  # type: ignore[arg-type]
    table.add_column("likelier")
    for row in found:
        before, label, after = (printable(each, "") for each in (row.before, row.label, row.after))
        place = Text.assemble(before, (f"»{label}«", "bold red"), after)
        table.add_row(row.where, f"{row.bits:.1f}", row.probability, place, Text(row.likelier))
    width = None if sys.stdout.isatty() else 10_000  # do not wrap lines in a file or pipe
    Console(highlight=False, width=width).print(table)

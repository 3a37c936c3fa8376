"""`numlstm look`: what single cells of a model respond to."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError, CorpusError
from ..shared.options import DropUnknown, Encoding, Json, Weights
from ..shared.output_file import check_not_read
from ..shared.work_progress import spinner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...analysis.cell_pictures.layout import Drawing
    from ...analysis.cells import Cell
    from ...model import Model
    from ...text.vocab.base import Ids, Vocab

_READ = 5000  # maximum number of tokens searched for cells
_ENOUGH = 2000  # minimum: the model continues a shorter text
_CONTEXT = 256  # tokens read before them
_DRAWN = 400
_TEMPERATURE = 0.6

_GATES = {
    "c": ("What it holds", "tanh(c) after each {}: -1 blue, 0 white, 1 red"),
    "i": ("the input gate", "how far it is open at each {}: 0 white, 1 red"),
    "f": ("the forget gate", "how far it is open at each {}: 0 white, 1 red"),
    "g": ("the candidate", "the value offered to the cell at each {}: -1 blue, 0 white, 1 red"),
    "o": ("the output gate", "how far it is open at each {}: 0 white, 1 red"),
}


def look(
    weights: Weights,
    text: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Text to read.  [dim]\\[default: text that the model writes][/dim]"),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Read a file, a corpus name, or - for standard input instead."),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(help="Layer to search, counted from 0.  [dim]\\[default: all; with --cell the last][/dim]"),
    ] = None,
    cell: Annotated[
        list[int] | None,
        typer.Option(help="Cell of that layer, from 0; may be repeated.  [dim]\\[default: the most telling][/dim]"),
    ] = None,
    cells: Annotated[int, typer.Option(help="Number of cells to find without --cell.")] = 6,
    gate: Annotated[
        str,
        typer.Option(
            metavar="c|i|f|g|o",
            help="What to show: the cell's content ([bold]c[/bold]), or its input, forget, candidate or output gate.",
        ),
    ] = "c",
    start: Annotated[
        int | None,
        typer.Option(
            help="First token to draw, counted from 0.  [dim]\\[default: where the cells are most active][/dim]"
        ),
    ] = None,
    length: Annotated[int, typer.Option(help="Number of tokens to draw.")] = _DRAWN,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Write a picture instead, as .svg, .html, .png or .pdf; an existing one is replaced. The last two "
            "need matplotlib.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the text that the model writes.")] = 0,
    json_: Json = False,
    encoding: Encoding = "utf-8",
    drop_unknown: DropUnknown = False,
) -> None:
    """Show what single cells of a model respond to, as a colour behind each token of a text.

    Without [bold]--cell[/bold], finds the cells whose activation most closely follows a
    simple feature of the text, such as the position in the line or being inside
    quotes. r is the correlation with that feature over up to 5,000 tokens of the
    text. If the text has fewer than 2,000, the model continues it to have enough
    to search. A large r for a rare feature may be chance: look at the picture.
    Always computes with NumPy.

    Examples:

    [bold]numlstm look weights.npz[/bold]

    [bold]numlstm look weights.npz --file book.txt --layer 1 --cell 17 --cell 40 -o cells.svg[/bold]
    """
    # NumPy reads this when it is imported. Its products are small here, and waking other cores would take longer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ...analysis.cell_pictures import check_output, save
    from ...backends import registry
    from ...model import Model
    from ...network import weights_file as files
    from ...text.vocab import display

    _check(text, file, gate, cells, length, start)
    if output is not None:
        check_output(output)  # fail before reading anything
        check_not_read("-o", output, [file] if file else [])
    held = files.load(weights)
    model = Model(held.config, held.params, registry.load("reference"), vocab=held.vocab)
    _check_cells(held.config.layers, layer, cell or [])
    given = _given(model.vocab, text, file, encoding, drop_unknown)
    with spinner("watching the cells"):
        seen = _watch(model, given, gate, start, length, seed)
        found = _chosen(seen, cells, layer, cell)
    at = seen.start(found, length)
    drawing = _drawing(seen, found, at, length, gate, display.visible(os.path.basename(weights)))
    if json_:
        _print_json(drawing, found, seen, at, gate)
    elif output is None:
        from .terminal import show

        show(drawing)
    if output is not None:
        save(drawing, output)
        print(f"drew {output}", file=sys.stderr)


@dataclasses.dataclass(frozen=True)
class _Seen:
    """The tokens that were read, from token `first` of the text on, and the activations of the cells.

    The first `given` of `ids` are the text; the model wrote the others to have enough to search. `wanted` is the token
    to draw from, if the user chose one.
    """

    vocab: Vocab
    ids: Ids
    given: int
    first: int
    wanted: int | None
    activity: list[Any]
    features: dict[str, Any]

    def start(self, found: Sequence[Cell], length: int) -> int:
        """Return the index in `ids` to draw from."""
        from ...analysis.cells import most_varied_stretch

        if self.wanted is not None:
            return self.wanted - self.first
        return most_varied_stretch(
            {name: values[: self.given] for name, values in self.features.items()}, found, length
        )


def _check(text: str | None, file: str | None, gate: str, cells: int, length: int, start: int | None) -> None:
    if text is not None and file is not None:
        raise ConfigError("give either --text or --file, not both")
    if gate not in _GATES:
        raise ConfigError(f"--gate is {gate!r}; expected {', '.join(_GATES)}")
    for name, value, least in (("cells", cells, 1), ("length", length, 1), ("start", start or 0, 0)):
        if value < least:
            raise ConfigError(f"--{name} is {value}; expected a whole number from {least}")


def _check_cells(sizes: Sequence[int], layer: int | None, numbers: Sequence[int]) -> None:
    last = len(sizes) - 1
    if layer is not None and not 0 <= layer <= last:
        raise ConfigError(f"--layer is {layer}; expected 0 to {last}")
    place = last if layer is None else layer
    for number in numbers:
        if not 0 <= number < sizes[place]:
            raise ConfigError(f"--cell is {number}; expected 0 to {sizes[place] - 1} in layer {place}")


def _given(vocab: Vocab, text: str | None, file: str | None, encoding: str, drop_unknown: bool) -> Ids | None:
    """Return the ids of the given text, or None without one."""
    from ...text.dataset.corpus import load_corpus
    from ..shared.reading_progress import reading_progress

    if text is not None:
        ids = vocab.encode(text, drop_unknown=drop_unknown)
    elif file is not None:
        with reading_progress() as report:
            ids = load_corpus([file], encoding=encoding, vocab=vocab, drop_unknown=drop_unknown, report=report).ids
    else:
        return None
    if not len(ids):
        raise CorpusError(f"the model knows no {vocab.unit} of the text; use a text like the one it was trained on")
    return ids


def _watch(model: Model, given: Ids | None, gate: str, start: int | None, length: int, seed: int) -> _Seen:
    import numpy as np

    from ...analysis.cells import record, token_features

    place = start or 0
    ids = _written(model, "", place + max(length, _ENOUGH), seed) if given is None else given
    if place >= len(ids):
        raise ConfigError(f"--start is {place}; expected less than the {len(ids)} {model.vocab.unit}s of the text")
    first = max(0, place - _CONTEXT)
    ids = ids[first : place + max(length, _READ)]
    count = len(ids)
    if count < _ENOUGH:
        ids = np.concatenate([ids, _written(model, model.vocab.decode(ids), _ENOUGH - count, seed)])
    activity = record(model, ids, what=gate)
    return _Seen(model.vocab, ids, count, first, start, activity, token_features(model.vocab, ids))


def _written(model: Model, prompt: str, length: int, seed: int) -> Ids:
    """Return the ids of a continuation of `prompt` by the model."""
    text = model.generate(prompt, length=length, temperature=_TEMPERATURE, seed=seed)
    return model.vocab.encode(text, drop_unknown=True)


def _chosen(seen: _Seen, count: int, layer: int | None, numbers: list[int] | None) -> list[Cell]:
    """Return the cells with the given numbers, or else the most telling cells."""
    from ...analysis.cells import describe, most_responsive

    if numbers:
        place = len(seen.activity) - 1 if layer is None else layer
        return [describe(seen.activity, seen.features, place, n) for n in numbers]
    found = most_responsive(seen.activity, seen.features, count, layer=layer)
    if not found:
        raise CorpusError("no cell follows any feature of this text; expected a more varied text, or cells by --cell")
    return found


def _drawing(seen: _Seen, found: Sequence[Cell], at: int, length: int, gate: str, name: str) -> Drawing:
    import numpy as np

    from ...analysis.cell_pictures.layout import Drawing, Panel
    from ...text.vocab import display

    end = min(at + length, seen.given)
    parts = display.pieces(seen.vocab, seen.vocab.decoder(), seen.ids[:end])[at:]
    groups = list(display.grouped(parts))
    last = at + np.cumsum([count for _, count in groups]) - 1  # color a unit by its last token
    panels = [Panel(*_description(cell), seen.activity[cell.layer][last, cell.number]) for cell in found]
    what, legend = _GATES[gate]
    title = f"What cells of {name} respond to" if gate == "c" else f"{what[0].upper()}{what[1:]} of cells of {name}"
    return Drawing(title, legend.format(seen.vocab.unit), [text for text, _ in groups], panels)


def _description(cell: Cell) -> tuple[str, str]:
    """Return a heading for a cell, and a note on the other features it follows."""
    closest, *others = [f"{each.feature} (r = {each.correlation:+.2f})" for each in cell.responses[:3]] or [""]
    heading = f"layer {cell.layer}, cell {cell.number}" + (f": {closest}" if closest else "")
    return heading, f"also {', '.join(others).replace('r = ', '')}" if others else ""


def _print_json(drawing: Drawing, found: Sequence[Cell], seen: _Seen, at: int, gate: str) -> None:
    cells = [
        {
            "layer": cell.layer,
            "cell": cell.number,
            "responses": [dataclasses.asdict(each) for each in cell.responses],
            "activations": [float(value) for value in panel.values],
        }
        for cell, panel in zip(found, drawing.panels, strict=True)
    ]
    told = {"gate": gate, "start": seen.first + at, "sought_in": len(seen.ids), "text": list(drawing.units)}
    print(json.dumps({**told, "cells": cells}, allow_nan=False))

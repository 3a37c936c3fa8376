"""Summaries of a network for the terminal, as `train` and `info` print them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...errors import WeightsError
from .wording import counted

if TYPE_CHECKING:
    from rich.table import Table

    from ...settings.network import NetworkSettings
    from ...text.vocab.base import Vocab


def network_line(config: NetworkSettings) -> str:
    """Describe a network in a line: "2 LSTM layers of 128 units, 216,777 parameters"."""
    from ...network import parameters

    sizes = sorted(set(config.layers))
    units = f"{sizes[0]} units" if len(sizes) == 1 else f"{', '.join(map(str, config.layers))} units"
    return f"{counted(len(config.layers), 'LSTM layer')} of {units}, {parameters.count(config):,} parameters"


def shape_table(config: NetworkSettings) -> Table:
    """Return a table of the layers, their shapes and parameter counts."""
    from rich import box
    from rich.table import Table

    from ...network import parameters

    shapes = parameters.shapes(config)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    table.add_column("layer", f"{config.dtype}")
    table.add_column("shapes", "")
    table.add_column("parameters", f"{parameters.count(config):,}", justify="right")
    for layer in ["embedding", *(f"lstm.{n}" for n in range(len(config.layers))), "output"]:
        own = {name.removeprefix(layer + "."): shape for name, shape in shapes.items() if name.startswith(layer + ".")}
        if not own:
            continue
        count = sum(_size(shape) for shape in own.values())
        table.add_row(layer, "  ".join(f"{name} {_times(shape)}" for name, shape in own.items()), f"{count:,}")
    return table


@contextlib.contextmanager
def checked_record(path: str) -> Iterator[None]:
    """Context manager: raise `WeightsError` if the block cannot read a file's summary, written by another program."""
    try:
        yield
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(
            f"the training record in {path} is not in numlstm's format; expected a file written by train or share"
        ) from error


def format_symbols(vocab: Vocab, most: int = 60) -> str:
    """Return the first symbols of a vocabulary as one printable line."""
    shown, more = vocab.first_symbols(most)
    return printable(shown, "") + (f" and {more:,} more" if more else "")


def printable(text: str, gap: str = " ") -> str:
    """Return a text as one printable line: line ends become ↵, tabs ⇥, control characters �."""
    text = text.replace("\r\n", "\n").replace("\n", f"{gap}↵{gap}").replace("\t", "⇥")
    return "".join(c if c.isprintable() else "�" for c in text)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))

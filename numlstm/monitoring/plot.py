"""Plot the training and validation losses of one or more runs.

Each run has a colour: a pale line for the smoothed training loss, a strong line with dots for the validation loss.
Drawn with matplotlib, without a display.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..storage.atomic import atomic_write, check_writable
from .curves import Curves, smoothed

SUFFIXES = (".png", ".svg", ".pdf")

# Okabe & Ito's colours, distinguishable with any kind of colour vision. After the last they repeat with other dashes.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#333333")
_DASHES: tuple[Any, ...] = ("-", "--", ":", "-.")
_MOST_DOTS = 30
_BEGINNING = 0.04  # fraction of a run in which the loss falls so far that the rest would look flat
_AXES = {"steps": "steps", "seconds": "seconds of training", "tokens": "{}s predicted"}


def check_picture(path: str | os.PathLike[str], suffixes: Sequence[str] = SUFFIXES, direct: Sequence[str] = ()) -> None:
    """Raise `ConfigError` if `path` is not a picture name or matplotlib is missing (not needed for `direct`)."""
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        raise ConfigError(f"{path} is not the name of a picture; expected one that ends in {', '.join(suffixes)}")
    if suffix not in direct and importlib.util.find_spec("matplotlib") is None:
        other = f", or draw a {' or '.join(direct)}" if direct else ""
        raise ConfigError(f"to draw {path}, install matplotlib: pip install 'numlstm[plot]'{other}")


def draw(runs: Sequence[Curves], path: str | os.PathLike[str], axis: str = "steps") -> None:
    """Draw runs to a picture file; `axis` is the one that their points were loaded with.

    Raises `ConfigError` as `check_picture` does, and `StorageError` if the file cannot be written.
    """
    check_picture(path)
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "numlstm", "font.size": 10}):
        figure = _figure(runs, axis)
        check_writable(path)
        with atomic_write(path) as file:
            figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=150)


def _figure(runs: Sequence[Curves], axis: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8 + 0.22 * max(0, len(runs) - 3)), layout="constrained")
    panel = figure.subplots()
    for place, run in enumerate(runs):
        colour, dash = _look(place)
        if run.training:
            panel.plot(*_columns(smoothed(run.training)), color=colour, linestyle=dash, alpha=0.45, linewidth=1.0)
        if run.validation:
            marker = "o" if len(run.validation) <= _MOST_DOTS else ""
            points = _columns(run.validation)
            panel.plot(*points, color=colour, linestyle=dash, linewidth=2, marker=marker, markersize=4)
    tokens = {run.token for run in runs}
    token = tokens.pop() if len(tokens) == 1 else "token"
    panel.set_ylim(*_limits(runs))
    panel.set_xlim(left=0)
    panel.set_xlabel(_AXES[axis].format(token))
    panel.set_ylabel(f"loss, nats per {token}")
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(color="#dddddd", linewidth=0.6)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:,g}" if value < 1e6 else f"{value / 1e6:,g} M")
    _legends(figure, panel, runs)
    return figure


def _legends(figure: Any, panel: Any, runs: Sequence[Curves]) -> None:
    """Explain pale and strong lines in the corner without curves, and name the runs below the panel."""
    from matplotlib.lines import Line2D

    kinds = [
        Line2D([], [], color="#777777", alpha=0.6, linewidth=1, label="training, smoothed"),
        Line2D([], [], color="#777777", linewidth=2, marker="o", markersize=4, label="validation"),
    ]
    panel.legend(handles=kinds, loc="upper right", frameon=False)
    handles = []
    for place, run in enumerate(runs):
        colour, dash = _look(place)
        best = "" if run.best is None else f": best {run.best[0]:.4f} at step {run.best[1]:,}"
        handles.append(Line2D([], [], color=colour, linestyle=dash, linewidth=3, label=_plain(run.label) + best))
    columns = 1 if max(len(run.label) for run in runs) > 25 else 2
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)


def _plain(label: str) -> str:
    """Return a label that matplotlib can draw literally; text between two $ would become a formula."""
    return label.encode("utf-8", "replace").decode().replace("$", r"\$")


def _look(place: int) -> tuple[str, Any]:
    """Return the colour and dash pattern of the run at that index."""
    return _COLOURS[place % len(_COLOURS)], _DASHES[place // len(_COLOURS) % len(_DASHES)]


def _limits(runs: Sequence[Curves]) -> tuple[float, float]:
    """Return the limits of the loss axis, which leave out the steep fall at a run's beginning."""
    lows, highs = [], []
    for run in runs:
        lines = [smoothed(run.training)[int(_BEGINNING * len(run.training)) :], run.validation]
        losses = [loss for line in lines for _, loss in line]
        lows.append(min(losses))
        highs.append(max(losses))
    margin = 0.05 * (max(highs) - min(lows)) or 0.1
    return min(lows) - margin, max(highs) + margin


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]

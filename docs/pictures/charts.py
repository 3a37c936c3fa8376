"""Draw the charts: an LSTM's two activation functions, sampling temperature, and surprise."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from strokes import AMBER, BLUE, FAINT, GREEN, INK, LINE, RED

Words = dict[str, str]

NEXT = pathlib.Path(__file__).resolve().parent / "next.json"
SURPRISE = NEXT.with_name("surprise.json")
TEMPERATURES = (0.3, 0.6, 1.0, 1.5)


def taps(say: Words) -> Figure:
    """Draw sigmoid and tanh."""
    figure = Figure(figsize=(8.6, 2.9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    z = np.linspace(-6, 6, 241)
    for panel, name, values, colour in zip(
        figure.subplots(1, 2), ("sigmoid", "tanh"), (1 / (1 + np.exp(-z)), np.tanh(z)), (BLUE, AMBER), strict=True
    ):
        panel.axhline(0, color=LINE, linewidth=1)
        panel.axvline(0, color=LINE, linewidth=1)
        panel.plot(z, values, color=colour, linewidth=2.6)
        panel.set_title(say[name], fontsize=11, color=INK)
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0, labelsize=9)
        panel.set_xlim(-6, 6)
        panel.set_xlabel("$z$")
        if name == "sigmoid":
            panel.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
            panel.set_ylim(-0.12, 1.18)
            panel.annotate(say["closed"], (-5.8, 0.07), color=FAINT, fontsize=10)
            panel.annotate(say["half"], (0.45, 0.42), color=FAINT, fontsize=10)
            panel.annotate(say["open"], (5.8, 1.05), color=FAINT, fontsize=10, ha="right")
        else:
            panel.set_yticks([-1, 0, 1])
            panel.set_ylim(-1.24, 1.36)
    return figure


def temperature(say: Words) -> Figure:
    """Draw a model's distribution after a prompt at four temperatures; the numbers are in `next.json`."""
    document = json.loads(NEXT.read_text("utf-8"))
    logits = np.array([entry["logprob"] for entry in document["tokens"]])
    shown = 9
    names = [_name(entry["token"], say) for entry in document["tokens"][:shown]] + [say["others"]]
    figure = Figure(figsize=(9.2, 3.9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    panels = figure.subplots(1, len(TEMPERATURES), sharey=True)
    for panel, value, colour in zip(panels, TEMPERATURES, (BLUE, GREEN, AMBER, RED), strict=True):
        powers = np.exp(logits / value)
        shares = 100 * powers / powers.sum()
        heights = [*shares[:shown], shares[shown:].sum()]
        drawn = panel.barh(range(shown + 1), heights, height=0.72, color=colour)
        panel.bar_label(
            drawn, [f"{height:.0f} %" if height >= 0.5 else "" for height in heights], padding=3, fontsize=9
        )
        panel.set_title(say["temperature"].format(f"{value:g}"), fontsize=11, color=INK)
        panel.set_xlim(0, 118)
        panel.set_xticks([])
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
    panels[0].set_yticks(range(shown + 1), names)
    panels[0].invert_yaxis()
    figure.suptitle(say["after"].format(document["prompt"].strip()), fontsize=12, x=0.012, ha="left")
    return figure


def _name(token: str, say: Words) -> str:
    return {" ": say["space"], "\n": say["newline"]}.get(token, token)


def surprise(say: Words) -> Figure:
    """Draw a passage with the background of each character shaded by its surprise in nats, from `surprise.json`."""
    told = json.loads(SURPRISE.read_text("utf-8"))
    rows: list[list[tuple[str, float]]] = [[]]
    for token, nats in told:
        rows[-1].append(("↵" if token == "\n" else token, nats))
        if token == "\n":
            rows.append([])
    rows = [row for row in rows if row]
    columns, size = max(map(len, rows)), 11.0
    wide, high = size * _ADVANCE / 72, 0.27  # size of a character in inches
    figure = Figure(figsize=(wide * (columns + 4), high * (len(rows) + 2.8)))
    panel = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    panel.set_xlim(-2, columns + 2)
    panel.set_ylim(len(rows) + 2.0, -0.8)
    panel.set_axis_off()
    letter: dict[str, Any] = {"va": "center", "color": INK, "fontsize": size, "family": "DejaVu Sans Mono"}
    tiles = [(x, y, 1, nats) for y, row in enumerate(rows) for x, (_, nats) in enumerate(row)]
    for y, row in enumerate(rows):
        for word in re.finditer(r"\S+", "".join(token for token, _ in row)):  # by word: width errors do not add up
            panel.text(word.start(), y + 0.5, word[0], **letter)
    below = len(rows) + 0.5
    for n in range(7):
        tiles.append((18 + 4 * n, below, 4, n))
        panel.text(20 + 4 * n, below + 0.5, f"{n}" if n < 6 else "6+", ha="center", **letter)
    panel.text(17, below + 0.5, say["surprise"], ha="right", va="center", color=FAINT, fontsize=10)
    _lay(panel, tiles)
    return figure


_ADVANCE = 0.60205  # advance width of DejaVu Sans Mono, relative to the font size
_MOST = 6.0  # nats; larger values are not drawn darker


def _lay(panel: Axes, tiles: list[tuple[float, float, float, float]]) -> None:
    """Draw tiles (left, top, width, nats); all tiles of a shade (there are a dozen shades) form one path."""
    shades: dict[int, list[Path]] = {}
    for x, y, width, nats in tiles:
        corners = [(x, y + 0.03), (x + width, y + 0.03), (x + width, y + 0.97), (x, y + 0.97), (x, y + 0.03)]
        shades.setdefault(round(2 * min(nats, _MOST)), []).append(Path(corners, closed=True))
    for shade, paths in sorted(shades.items()):
        if shade:
            one = Path.make_compound_path(*paths)
            panel.add_patch(PathPatch(one, facecolor=RED, alpha=0.8 * shade / (2 * _MOST), linewidth=0))

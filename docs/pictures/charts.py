"""The charts: the two curves that an LSTM is made of, and one distribution at four temperatures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from strokes import AMBER, BLUE, FAINT, GREEN, INK, LINE, RED

Words = dict[str, str]

NEXT = Path(__file__).resolve().parent / "next.json"
SURPRISE = NEXT.with_name("surprise.json")
TEMPERATURES = (0.3, 0.6, 1.0, 1.5)


def taps(say: Words) -> Figure:
    """Sigmoid and tanh."""
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
    """What a trained model expects after a prompt, at four temperatures; the numbers are in `next.json`."""
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
    figure.suptitle(say["after"].format(document["prompt"].replace("\n", " / ")), fontsize=12, x=0.012, ha="left")
    return figure


def _name(token: str, say: Words) -> str:
    return {" ": say["space"], "\n": say["newline"]}.get(token, token)


def surprise(say: Words) -> Figure:
    """A passage, each character on a ground as dark as the nats by which it surprises a model; from `surprise.json`."""
    told = json.loads(SURPRISE.read_text("utf-8"))
    most = 6.0
    rows: list[list[tuple[str, float]]] = [[]]
    for token, nats in told:
        rows[-1].append((token, nats))
        if token == "\n":
            rows.append([])
    columns = max(map(len, rows))
    wide, high = 0.128, 0.26
    width, height = wide * (columns + 2), high * (len(rows) + 3)
    figure = Figure(figsize=(width, height))
    panel = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    panel.set_xlim(-1, columns + 1)
    panel.set_ylim(len(rows) + 1.8, -1.2)
    panel.set_axis_off()
    for y, row in enumerate(rows):
        for x, (token, nats) in enumerate(row):
            _tile(panel, x, y, nats / most)
            panel.text(x + 0.5, y + 0.5, {"\n": "↵"}.get(token, token), **_LETTER)
    for n in range(7):
        _tile(panel, 12 + 4 * n, len(rows) + 0.4, n / most, 4)
        panel.text(14 + 4 * n, len(rows) + 0.9, f"{n}" if n < 6 else "6+", **_LETTER)
    panel.text(11.3, len(rows) + 0.9, say["surprise"], ha="right", va="center", color=FAINT, fontsize=9.5)
    return figure


_LETTER: dict[str, Any] = {
    "ha": "center", "va": "center", "color": INK, "fontsize": 10, "family": "DejaVu Sans Mono"
}  # fmt: skip


def _tile(panel: Axes, x: float, y: float, share: float, width: float = 1) -> None:
    panel.add_patch(Rectangle((x, y + 0.04), width, 0.92, facecolor=RED, alpha=min(share, 1) * 0.8, linewidth=0))

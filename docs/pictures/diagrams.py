"""Draw the diagrams: an LSTM cell, a network unrolled in time, a text in parallel streams."""

from __future__ import annotations

import itertools

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from strokes import AMBER, BLUE, FAINT, GREEN, INK, LINE, PALE, PAPER, PINK, RED, box, operation, page, path, words

Words = dict[str, str]

GATES = {"f": RED, "i": GREEN, "g": AMBER, "o": BLUE}


def cell(say: Words) -> Figure:
    """Draw one step of a cell: the cell state as a belt on top, and the four gates below."""
    figure, panel = page(17, 11.4)
    box(panel, (8.3, 6.25), (12.0, 7.3), fill=PALE, edge=LINE, zorder=1)
    words(panel, (8.3, 10.5), say["belt"], colour=PINK)
    belt, gate, common = 8.9, 4.9, 3.3
    at = {"f": 4.3, "i": 6.3, "g": 8.7, "o": 10.9}
    # The belt.
    path(panel, [(1.7, belt), (4.3 - 0.36, belt)], colour=PINK, line=3)
    path(panel, [(4.3 + 0.36, belt), (7.5 - 0.36, belt)], colour=PINK, line=3)
    path(panel, [(7.5 + 0.36, belt), (15.2, belt)], colour=PINK, line=3)
    # The inputs of all four gates.
    path(panel, [(1.7, common), (at["o"], common), (at["o"], gate - 0.55)], colour=INK)
    for name in "fig":
        path(panel, [(at[name], common), (at[name], gate - 0.55)])
    path(panel, [(3.3, 1.75), (3.3, common)], arrow=False)
    _dot(panel, (3.3, common))
    # From the gates to the belt.
    path(panel, [(at["f"], gate + 0.55), (at["f"], belt - 0.36)], colour=RED)
    path(panel, [(at["i"], gate + 0.55), (at["i"], 7.0), (7.5 - 0.36, 7.0)], colour=GREEN)
    path(panel, [(at["g"], gate + 0.55), (at["g"], 7.0), (7.5 + 0.36, 7.0)], colour=AMBER)
    path(panel, [(7.5, 7.36), (7.5, belt - 0.36)])
    # From the belt to the output.
    path(panel, [(12.3, belt), (12.3, 8.05)], colour=PINK)
    _dot(panel, (12.3, belt), PINK)
    box(panel, (12.3, 7.7), (1.2, 0.7), edge=PINK)
    words(panel, (12.3, 7.68), "tanh", family="DejaVu Sans")
    path(panel, [(12.3, 7.35), (12.3, 6.66)], colour=PINK)
    path(panel, [(at["o"], gate + 0.55), (at["o"], 6.3), (12.3 - 0.36, 6.3)], colour=BLUE)
    path(panel, [(12.3, 5.94), (12.3, common), (15.2, common)])
    for name, colour in GATES.items():
        box(panel, (at[name], gate), (1.5, 1.1), edge=colour, line=2.2)
        words(panel, (at[name] - 0.32, gate), f"${name}$", size=17, colour=colour)
        words(
            panel,
            (at[name] + 0.28, gate),
            "tanh" if name == "g" else r"$\sigma$",
            size=9 if name == "g" else 12,
            family="DejaVu Sans",
        )
    for where in ((4.3, belt), (7.5, 7.0), (12.3, 6.3)):
        operation(panel, where, "×")
    operation(panel, (7.5, belt), "+")
    _ends(panel, say, belt, common)
    for name, (x, y) in {"f": (1.0, 0.85), "i": (1.0, 0.3), "g": (9.6, 0.85), "o": (9.6, 0.3)}.items():
        words(panel, (x, y), f"${name}$", colour=GATES[name], size=13)
        words(panel, (x + 0.35, y), say[name], size=9.5, ha="left")
    return figure


def _ends(panel: Axes, say: Words, belt: float, common: float) -> None:
    """Label the inputs and outputs."""
    for name, x, y, sign in (
        ("c_before", 1.0, belt, "$c_{t-1}$"),
        ("h_before", 1.0, common, "$h_{t-1}$"),
        ("c_after", 15.8, belt, "$c_t$"),
        ("h_after", 15.8, common, "$h_t$"),
    ):
        words(panel, (x, y), sign, size=15)
        words(panel, (x, y - 0.42), say[name], size=8.5, colour=FAINT, va="top", linespacing=1.35)
    words(panel, (3.3, 1.5), "$x_t$", size=15)
    words(panel, (3.75, 1.5), say["x"], size=9.5, colour=FAINT, ha="left")


def unrolled(say: Words) -> Figure:
    """Draw the network with its loop, and beside it the same network unrolled over the characters of a word."""
    figure, panel = page(19, 8.2)
    middle = 4.3
    words(panel, (2.4, 7.6), say["rolled"], size=12)
    box(panel, (2.4, middle), (1.7, 1.5), fill=PALE, line=1.8)
    words(panel, (2.4, middle), "LSTM")
    path(panel, [(2.4, 2.2), (2.4, middle - 0.75)])
    path(panel, [(2.4, middle + 0.75), (2.4, 6.3)])
    loop = [
        (3.25, middle + 0.3),
        (4.0, middle + 0.3),
        (4.0, middle - 1.4),
        (0.9, middle - 1.4),
        (0.9, middle),
        (1.55, middle),
    ]
    path(panel, loop, colour=PINK, line=2.2)
    words(panel, (2.4, 1.75), "$x_t$", size=14)
    words(panel, (4.3, middle - 0.5), "$h, c$", size=13, colour=PINK, ha="left")
    words(panel, (6.0, middle), "=", size=26, colour=FAINT)
    words(panel, (13.0, 7.6), say["unrolled"], size=12)
    text, right = "ROMEO:", 9.2
    for n, (read, wanted) in enumerate(itertools.pairwise(text)):
        x = right + 2.05 * n
        box(panel, (x, middle), (1.35, 1.5), fill=PALE, line=1.8)
        words(panel, (x, middle), "LSTM", size=10)
        path(panel, [(x, 2.4), (x, middle - 0.75)])
        path(panel, [(x, middle + 0.75), (x, 6.0)])
        for y, colour, name in ((middle + 0.35, PINK, f"$c_{n}$"), (middle - 0.35, INK, f"$h_{n}$")):
            path(panel, [(x - 2.05 + 0.675, y), (x - 0.675, y)], colour=colour, line=2.2 if colour == PINK else 1.6)
            words(panel, (x - 1.06, y + (0.3 if colour == PINK else -0.32)), name, size=9.5, colour=colour)
        _letter(panel, (x, 2.05), read)
        _letter(panel, (x, 6.4), wanted, BLUE)
    words(panel, (right - 0.8, 2.05), say["reads"], size=9.5, colour=FAINT, ha="right")
    words(panel, (right - 0.8, 6.4), say["should"], size=9.5, colour=FAINT, ha="right")
    path(panel, [(right + 8.9, 1.2), (right - 0.7, 1.2)], colour=RED, dashed=True, line=1.8)
    words(panel, (right + 4.1, 0.7), say["error"], size=10, colour=RED)
    return figure


def _letter(panel: Axes, where: tuple[float, float], letter: str, colour: str = INK) -> None:
    box(panel, where, (0.7, 0.7), edge=colour)
    words(panel, where, letter, colour=colour, family="DejaVu Sans Mono", size=12)


def streams(say: Words) -> Figure:
    """Draw a text cut into parallel streams, with its windows in training order."""
    figure, panel = page(19, 7.4)
    words(panel, (0.7, 6.9), say["text"], ha="left", size=12)
    left, width, colours = 2.6, 4.9, (BLUE, GREEN, AMBER)
    for stream, colour in enumerate(colours):
        y = 5.0 - 1.25 * stream
        words(panel, (left - 0.25, y), f"{say['stream']} {stream + 1}", ha="right", size=10)
        for n in range(3):
            box(panel, (left + width * (n + 0.5), y), (width - 0.35, 0.8), fill=colour + "22", edge=colour)
        for n in range(1, 3):
            x = left + width * n
            path(panel, [(x - 0.17, y), (x + 0.18, y)], colour=PINK, line=2.4)
        _passage(panel, stream, left, width, y)
    top, bottom = 5.55, 1.95
    for n in range(3):
        x = left + width * (n + 0.5)
        words(panel, (x, top + 0.42), say["step_n"].format(n + 1), size=10.5)
        if n:
            edge = left + width * n
            panel.plot([edge, edge], [bottom - 0.25, top], color=RED, linewidth=1.2, linestyle=(0, (3, 3)), zorder=6)
    path(panel, [(left + width / 2, 1.55), (left + 0.2, 1.55)])
    path(panel, [(left + width / 2, 1.55), (left + width - 0.2, 1.55)])
    words(panel, (left + width / 2, 1.15), say["T"], size=10)
    words(panel, (left + 1.5 * width, 0.6), say["state"], size=10.5, colour=RED)
    path(panel, [(left + 1.15 * width, 0.9), (left + 1.01 * width, 1.6)], colour=RED, line=1.2)
    return figure


PASSAGES = (
    "First Citizen:↵Before we proceed any further, hear me speak.↵↵All:↵Speak, ",
    "O, be some other name!↵What's in a name? That which we call a rose↵By any ",
    "Our revels now are ended. These our actors,↵As I foretold you, were all sp",
)
WINDOW = 24


def _passage(panel: Axes, stream: int, left: float, width: float, y: float) -> None:
    for n in range(3):
        text = PASSAGES[stream][WINDOW * n : WINDOW * (n + 1)]
        where = (left + width * (n + 0.5), y - 0.03)
        words(panel, where, text, family="DejaVu Sans Mono", size=9)


def _dot(panel: Axes, where: tuple[float, float], colour: str = INK) -> None:
    panel.plot(*where, "o", color=colour, markersize=5, markeredgecolor=PAPER, markeredgewidth=0.5, zorder=3)

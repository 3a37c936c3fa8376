"""Draw the results of each benchmark as a matplotlib figure.

Each function takes the whole JSON document of its benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from .measure import threads_in_words
from .pictures import INK, LINE

_OURS, _THEIRS, _THIRD, _PLAIN = "#2f81d6", "#e08a1e", "#c2553a", "#8b949e"
_BF16 = "#7a5cc0"
_ON_DARK, _ON_LIGHT = "#fdfdfd", "#101010"  # text on coloured cells, the same in the light and dark picture

# From narrow to wide, by their flags in a document's machine.
_INSTRUCTIONS = {"asimd": "NEON", "avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512", "amx_bf16": "AMX"}

Document = dict[str, Any]
Bar = tuple[str, float, str]  # name, length, colour


def train(document: Document) -> Figure:
    """Draw the speed relative to PyTorch, and the share of the peak, for each shape."""
    results = document["results"]
    figure = Figure(figsize=(9.2, 0.8 + 0.72 * (len(results) + 1)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    names = [result["name"] for result in results]
    _grouped(left, [*names, "geometric mean"], _ratios(document), "{:.2f}")
    left.axvline(1, color=INK, linewidth=1)
    left.set_title(f"Training step: times as fast as PyTorch ({threads_in_words(document['settings']['threads'])})")
    each = {"numlstm": ("numlstm", _OURS), "torch tuned": ("PyTorch tuned", _THEIRS)}
    shares = {
        label: ([100 * _median(r["contestants"][name]["share_of_peak"]) for r in results], colour)
        for name, (label, colour) in each.items()
        if name in results[0]["contestants"]
    }
    _grouped(right, [*names, "geometric mean"], shares, "{:.0f} %")
    right.set_xlim(0, 100)
    right.set_title("Share of the processor's peak")
    for panel, side in ((left, "left"), (right, "right")):
        figure.legend(*panel.get_legend_handles_labels(), loc=f"outside lower {side}", ncols=3, handlelength=1.2)
    return figure


def _ratios(document: Document) -> dict[str, tuple[list[float], str]]:
    """Return the series of a training document: label, ratios of the shapes and their geometric mean, colour."""
    kinds = [
        ("beside PyTorch default", "ratios", "torch default", _PLAIN),
        ("beside PyTorch tuned", "ratios", "torch tuned", _OURS),
        ("bf16, beside PyTorch bf16 tuned", "ratios_bf16", "torch bf16 tuned", _BF16),
        ("bf16x2, beside PyTorch tuned", "ratios_bf16x2", "torch tuned", _THIRD),
        ("bf16x3, beside PyTorch tuned", "ratios_bf16x3", "torch tuned", _THEIRS),
    ]
    results = document["results"]
    return {
        label: ([*(_median(r[key][name]) for r in results), document["geometric_means"][key][name]], colour)
        for label, key, name, colour in kinds
        if name in results[0].get(key, {})
    }


def processors(documents: Sequence[Document]) -> Figure:
    """Draw training on several processors side by side: how many times as fast as PyTorch numlstm is on each."""
    results = documents[0]["results"]
    figure = Figure(figsize=(1.6 + 3.8 * len(documents), 1 + 0.72 * (len(results) + 1)), layout="constrained")
    panels = figure.subplots(1, len(documents), sharex=True, sharey=True, squeeze=False).flat
    legend = {}
    names = [*(result["name"] for result in results), "geometric mean"]
    for panel, document in zip(panels, documents, strict=True):
        if [*(result["name"] for result in document["results"]), "geometric mean"] != names:
            raise ValueError("the results are of different shapes; expected the same in all files")
        _grouped(panel, names, _ratios(document), "{:.2f}")
        panel.axvline(1, color=INK, linewidth=1)
        panel.locator_params(axis="x", nbins=5)
        panel.set_title(_machine(document))
        legend |= {bars.get_label(): bars for bars in panel.containers if isinstance(bars, BarContainer)}
    figure.suptitle("Training step: times as fast as PyTorch", x=0.01, ha="left", fontsize=10)
    figure.legend(legend.values(), legend, loc="outside lower left", ncols=3, handlelength=1.2)
    return figure


def _machine(document: Document) -> str:
    """Return the processor of a document, its widest instructions, and the conditions of the measurement."""
    machine, settings = document["machine"], document["settings"]
    processor = machine["processor"].replace("(R)", "").replace(" Processor", "").partition(" @")[0]
    widest = [words for flag, words in _INSTRUCTIONS.items() if flag in machine["vector_units"]][-1:]
    limit = [f"limited to {settings['isa'].upper()}"] if settings.get("isa") else widest
    busy = [f"{settings['busy']} busy neighbours"] if settings.get("busy") else []
    return ", ".join([processor, *limit, threads_in_words(settings["threads"]), *busy])


def generate(document: Document) -> Figure:
    """Draw the characters per second of all contestants, with a panel for each shape and number of streams."""
    results = document["results"]
    figure = Figure(figsize=(9.2, 0.7 + 1.9 * (len(results) + 1) // 2), layout="constrained")
    lowest = math.inf
    panels = figure.subplots(-(-len(results) // 2), 2, sharex=True, squeeze=False).T.flat
    for panel, result in zip(panels, results, strict=False):
        rates = {name: _median(each["characters_per_second"]) for name, each in result["contestants"].items()}
        bars = [(name.replace("torch,", "PyTorch,"), rate, _colour(name)) for name, rate in rates.items()]
        _bars(panel, bars, "{:,.0f}")
        panel.set_xscale("log")
        panel.set_title(result["name"])
        lowest = min(lowest, *rates.values())
    panel.set_xlim(left=10 ** math.floor(math.log10(lowest)))
    figure.suptitle("Generation: characters a second (logarithmic)", x=0.01, ha="left", fontsize=10)
    return figure


def startup(document: Document) -> Figure:
    """Draw the seconds of whole commands: first with nothing compiled, below with a warm cache."""
    cold, warm = [], []
    for name, taken in document["commands"].items():
        colour = _OURS if name.startswith("numlstm") else _PLAIN if name.startswith("python") else _colour(name)
        (cold if name.endswith("nothing compiled") else warm).append((name, _median(taken), colour))
    parts = [
        ("Whole commands, nothing compiled yet: seconds", cold),
        ("Whole commands, compiled code cached: seconds", warm),
    ]
    shown = [(title, bars) for title, bars in parts if bars]
    sizes = [len(bars) + 0.8 for _, bars in shown]
    figure = Figure(figsize=(8, 0.5 + 0.33 * sum(sizes)), layout="constrained")
    panels = figure.subplots(len(shown), 1, height_ratios=sizes, squeeze=False).flat
    for panel, (title, bars) in zip(panels, shown, strict=True):
        _bars(panel, [(name.removesuffix(", nothing compiled"), *rest) for name, *rest in bars], "{:.2f}")
        panel.set_title(title)
    return figure


def quality(document: Document) -> Figure:
    """Draw the validation loss over the seconds since the command started, with the targets."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    panel = figure.subplots()
    runs = document["runs"]
    for kind, colour in (("warm", _OURS), ("cold", _PLAIN)):
        if kind in runs:
            points = [(p["seconds"], p["val_loss"]) for p in runs[kind]["curve"] if p["val_loss"] is not None]
            label = {"warm": "compiled code cached", "cold": "nothing compiled yet"}[kind]
            panel.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3.5, label=label)
    middle = sum(panel.get_ylim()) / 2
    for target in document["targets"]:
        panel.axhline(target, color=INK, linewidth=0.8, linestyle="--")
        reached = {kind: run["seconds_to"][f"{target:g}"] for kind, run in runs.items()}
        told = ", ".join(f"{seconds:.1f} s {kind}" for kind, seconds in reached.items() if seconds is not None)
        words = f"{target:g} nats: {told or 'not reached'}"
        # The curve falls, so a low line has room on the left and a high one on the right.
        place, side = (0.01, "left") if target < middle else (0.99, "right")
        panel.annotate(words, (place, target), (0, 3), ("axes fraction", "data"), "offset points", ha=side)
    panel.set_xlim(left=0)
    panel.margins(y=0.1)
    panel.grid(axis="y")
    panel.tick_params(length=0)
    panel.set_xlabel("seconds since the command was started")
    run = next(iter(runs.values()))
    layers = ", ".join(map(str, run["model"]["layers"]))
    panel.set_title(f"Validation loss on {run['corpus']['name']}, layers {layers}: nats per character")
    panel.legend()
    return figure


def kernels(document: Document) -> Figure:
    """Draw a table of kernels by shapes for each device and number of threads; colour shows the share of the peak."""
    results = document["results"]
    columns: dict[str, list[Document]] = {}
    for result in results:
        title = threads_in_words(result["threads"]) if result["device"] == "cpu" else result["device"]
        if (precision := result.get("precision", "float32")) != "float32":
            title += f", {precision}"
        columns.setdefault(title, []).append(result)
    rows = list(max((result["kernels"] for result in results), key=len))
    figure = Figure(figsize=(3.2 + 0.72 * len(results), 1.4 + 0.3 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False).flat
    for panel, (title, shapes) in zip(panels, columns.items(), strict=True):
        _table(panel, rows, shapes)
        panel.set_title(title)
    rates = "GB/s" if all(result["device"] == "cpu" for result in results) else "GFLOP/s or GB/s"
    title = f"Kernels: share of the processor's peak; where there is none, {rates}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def ngram(document: Document) -> Figure:
    """Draw the perplexity of each order."""
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    panel = figure.subplots()
    bars = [(f"order {result['order']}", result["perplexity"], _OURS) for result in document["results"]]
    _bars(panel, bars, "{:.1f}")
    files, unit = document["files"], document["settings"]["level"]
    panel.set_title(f"Kneser-Ney n-grams of {files['train']}: perplexity on {files['test']}, per {unit}")
    return figure


def serve(document: Document) -> Figure:
    """Draw the characters per second and the time to the first one, for clients served together and one at a time."""
    runs = document["runs"]
    figure = Figure(figsize=(9.2, 0.8 + 0.72 * len(runs)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = [f"{n} client{'s' * (n != '1')}" for n in runs]
    ways = (("together", _OURS), ("one at a time", _PLAIN))
    rates = {
        way: ([_median(each[way]["characters_per_second"]) for each in runs.values()], colour) for way, colour in ways
    }
    waits = {way: ([each[way]["first_ms"]["99"] / 1000 for each in runs.values()], colour) for way, colour in ways}
    _grouped(left, names, rates, "{:,.0f}")
    left.set_title("Served: characters a second, all clients")
    _grouped(right, names, waits, "{:.2f}")
    right.set_title("Seconds to the first character, 99th percentile")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=2, handlelength=1.2)
    return figure


def _table(panel: Axes, rows: Sequence[str], results: Sequence[Document]) -> None:
    """Fill a panel with coloured cells: rows from top to bottom, a column for each result."""
    for x, result in enumerate(results):
        for y, row in enumerate(rows):
            kernel = result["kernels"].get(row)
            if kernel is None:
                continue
            share = _median(kernel["share_of_peak"]) if "share_of_peak" in kernel else None
            words = _rate(kernel) if share is None else f"{100 * share:.0f} %"
            ground = LINE if share is None else colormaps["viridis"](min(share, 1.0))
            panel.barh(y, 0.96, left=x - 0.48, height=0.92, color=ground)
            colour = INK if share is None else _ON_LIGHT if share > 0.6 else _ON_DARK
            panel.text(x, y, words, ha="center", va="center", color=colour, fontsize=8)
    panel.set_xticks(range(len(results)), [result["name"].replace(" ", "\n") for result in results], fontsize=7.5)
    panel.set_yticks(range(len(rows)), rows)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)


def _rate(kernel: Document) -> str:
    """Format the rate of a kernel that has no share of a peak."""
    key, unit = ("gb_per_second", "GB/s") if "gb_per_second" in kernel else ("gflop_per_second", "GFLOP/s")
    return f"{_median(kernel[key]):,.0f} {unit}"


def _grouped(panel: Axes, names: Sequence[str], series: dict[str, tuple[list[float], str]], form: str) -> None:
    """Draw grouped horizontal bars: a group for each name, a bar for each series."""
    height = 0.8 / max(len(series), 1)
    for place, (label, (values, colour)) in enumerate(series.items()):
        places = [n - 0.4 + height * (place + 0.5) for n in range(len(values))]
        drawn = panel.barh(places, values, height=0.9 * height, color=colour, label=label)
        panel.bar_label(drawn, [form.format(value) for value in values], padding=3, fontsize=8)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.45, -0.55)
    panel.margins(x=0.12)
    _plain(panel)


def _bars(panel: Axes, bars: Sequence[Bar], form: str) -> None:
    """Draw horizontal bars from top to bottom."""
    names, values, colours = zip(*bars, strict=True)
    drawn = panel.barh(range(len(bars)), values, height=0.75, color=colours)
    panel.bar_label(drawn, [form.format(value) for value in values], padding=3, fontsize=8)
    panel.set_yticks(range(len(bars)), names)
    panel.invert_yaxis()
    panel.margins(x=0.15)
    _plain(panel)


def _plain(panel: Axes) -> None:
    panel.tick_params(which="both", length=0)
    panel.grid(axis="x")


def _colour(name: str) -> str:
    if "jit" in name:
        return _THIRD
    if "numlstm" in name:
        return _OURS
    return _THEIRS if "orch" in name else _PLAIN


def _median(spread: dict[str, Any]) -> float:
    return float(spread["median"])


DRAWINGS = {
    "train": train,
    "generate": generate,
    "startup": startup,
    "quality": quality,
    "kernels": kernels,
    "ngram": ngram,
    "serve": serve,
}

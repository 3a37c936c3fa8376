"""A name for a run, made of what shapes its weights: the text and the network.

Settings that may change while a run goes on, such as the learning rate, are no part of it, so that the same name is the
same run. Knows nothing about files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from .amounts import parse_layers

PLACE = "{job}"

_LONGEST = 120  # characters: with folder and ending well below what file systems allow


def job_name(corpus: Sequence[str], given: Mapping[str, Any]) -> str:
    """Return such as "hamlet-2x128" or "jules-word-vocab5000-400-200-embed64-norm" for the options of a new run.

    Raises `ConfigError` if the layers cannot be read.
    """
    layers = parse_layers(given.get("layers", "128,128"))
    same = f"{len(layers)}x{layers[0]}"
    level = given.get("level", "char")
    parts = [_text_name(corpus), "" if level == "char" else str(level)]
    parts += [f"{short}{given[name]}" for name, short in _TEXT_PARTS.items() if given.get(name)]
    parts += ["pretokenised"] if given.get("pretokenised") else []
    parts += [same if len(set(layers)) == 1 else "-".join(map(str, layers))]
    parts += [f"{short}{given[name]}" for name, short in _SIZES.items() if given.get(name)]
    parts += [short for name, short in _FLAGS.items() if given.get(name)]
    parts += ["hard"] if given.get("gate_activation") == "hard-sigmoid" else []
    return "-".join(filter(None, parts))[:_LONGEST]


_TEXT_PARTS = {"vocab_size": "vocab", "min_count": "min"}
_SIZES = {"embedding": "embed", "projection": "proj"}
_FLAGS = {"layer_norm": "norm", "tie_weights": "tied"}


def _text_name(corpus: Sequence[str]) -> str:
    """Return the first text's name without folder and ending, and how many more there are."""
    if not corpus:
        return "text"
    first = "stdin" if corpus[0] == "-" else PurePath(corpus[0]).name
    plain = re.sub(r"[^\w.+-]+", "_", first.partition(".")[0] or first, flags=re.ASCII).strip("_.") or "text"
    return plain if len(corpus) == 1 else f"{plain}+{len(corpus) - 1}"

"""A run's name, built from what determines its weights: the text and the network.

Settings that may change when a run resumes, such as the learning rate, are left out: the same name means the same run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ..settings.network import NetworkSettings
from ..settings.training import TrainingSettings

PLACE = "{job}"

_LONGEST = 120  # characters: with folder and suffix well below the limits of file systems


def job_name(corpus: Sequence[str], options: Mapping[str, Any]) -> str:
    """Return a name such as "hamlet-2x128" or "jules-word-vocab5000-400-200-embed64-norm" for the options of a new run.

    Raises `ConfigError` if the layers cannot be read.
    """
    layers = options.get("layers", NetworkSettings.layers)
    same = f"{len(layers)}x{layers[0]}"
    level = options.get("level", "char")
    parts = [_text_name(corpus), "" if level == "char" else str(level)]
    parts += [f"{short}{options[name]}" for name, short in _TEXT_PARTS.items() if options.get(name)]
    parts += ["pretokenised"] if options.get("pretokenised") else []
    parts += [same if len(set(layers)) == 1 else "-".join(map(str, layers))]
    parts += [f"{short}{options[name]}" for name, short in _SIZES.items() if options.get(name)]
    parts += [short for name, short in _FLAGS.items() if options.get(name)]
    parts += ["hard"] if options.get("gate_activation") == "hard-sigmoid" else []
    parts += [f"seed{options['seed']}"] if options.get("seed") else []
    val_split = options.get("val_split", TrainingSettings.val_split)
    parts += [f"val{val_split:g}"] if val_split != TrainingSettings.val_split else []
    name = "-".join(filter(None, parts))
    return name if len(name) <= _LONGEST else _marked(name[: _LONGEST - 7], name)


_TEXT_PARTS = {"vocab_size": "vocab", "min_count": "min"}
_SIZES = {"embedding": "embed", "projection": "proj"}
_FLAGS = {"layer_norm": "norm", "tie_weights": "tied"}


def _text_name(corpus: Sequence[str]) -> str:
    """Return the first text's name without folder and suffix, and the number of others; a hash keeps it unique."""
    if not corpus:
        return "text"
    first = "stdin" if corpus[0] == "-" else PurePath(corpus[0]).name
    stem = first.partition(".")[0] or first
    plain = re.sub(r"[^\w.+-]+", "_", stem, flags=re.ASCII).strip("_.") or "text"
    if len(corpus) > 1:
        return _marked(f"{plain}+{len(corpus) - 1}", "\0".join(corpus))
    return plain if plain == stem else _marked(plain, corpus[0])


def _marked(name: str, of: str) -> str:
    """Return an abbreviated name with a hash of all that it stands for."""
    return f"{name}-{hashlib.sha256(of.encode('utf-8', 'backslashreplace')).hexdigest()[:6]}"

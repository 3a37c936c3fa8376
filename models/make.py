"""Rebuild the shipped models: train each with `numlstm train`, and store it in the form that ships.

    python models/make.py shakespeare            # or python, or both; see --help

Each takes about half an hour on two cores. The last digits of the weights depend on the machine, so a model trained
elsewhere is as good but not bit for bit the same. The stored weights are evaluated on the validation text, also rounded
as `--precision` does; the losses are stored in the file, where `numlstm info` shows them. To only evaluate the models
as they are:

    python models/make.py --evaluate
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from numlstm import Model
from numlstm.backends import registry
from numlstm.backends.spec.rounding import ROUNDINGS
from numlstm.network import weights_file
from numlstm.network.evaluate import evaluate, evaluate_windows
from numlstm.network.sharing import to_share
from numlstm.text.dataset.corpus import load_corpus
from numlstm.text.dataset.streams import split
from numlstm.text.sources.catalog import corpus_names

WINDOW = 256  # tokens of a cold window, as in nanoGPT's character model

# Training options of each model; the corpus has the same name.
OPTIONS = {
    "shakespeare": "--layers 272,272 --batch-size 32 --dropout 0.4 --recurrent-dropout 0.15 "
    "--reset-state 0.02 --average 0.999 --lr 0.005 --lr-floor 0 --epochs 18",
    "python": "--layers 256,256 --batch-size 32 --dropout 0.15 --reset-state 0 --average 0.999 --lr 0.006 --lr-floor 0 "
    "--epochs 8",
}


def train(name: str, folder: Path) -> Path:
    """Train a model, or resume its training; return the weights file."""
    path = folder / f"{name}.npz"
    words = ["--resume", str(path)] if path.exists() else [name, *shlex.split(OPTIONS[name]), "-o", str(path)]
    subprocess.run([sys.executable, "-m", "numlstm", "train", *words], check=True)
    return path


def measured(file: weights_file.WeightsFile, ids) -> dict[str, Any]:
    """Return the validation losses in nats per token: with carried state, and by nanoGPT's protocol (cold windows).

    `rounded` has the loss with carried state for each rounding of the weights.
    """
    model = _model(file, "")
    cold = evaluate_windows(model, ids, WINDOW)
    found = {"carried": evaluate(model, ids), "cold": cold.nats, "cold_error": cold.standard_error, "window": WINDOW}
    rounded = {rounding: evaluate(_model(file, rounding), ids) for rounding in ROUNDINGS}
    return {**found, "tokens": len(ids) - 1, "rounded": rounded}


def _model(file: weights_file.WeightsFile, rounding: str) -> Model:
    return Model(file.config, file.params, registry.load("cpu"), vocab=file.vocab, rounding=rounding)


def ship(name: str, trained: Path, to: Path) -> None:
    """Store a trained model in the form that ships, with the description of its corpus and its losses."""
    entry = corpus_names()[name]
    file = weights_file.load(trained)
    about = {key: str(entry[key]) for key in ("title", "author", "language", "licence", "url") if key in entry}
    shared = to_share(file, about)
    summary = dict(shared.summary)
    summary["commands"] = [f"numlstm train {name} {OPTIONS[name]}"]
    summary["corpus"] = {**summary["corpus"], "sources": [name]}
    weights_file.save(to, dataclasses.replace(shared, summary=summary), half=True)
    record_losses(name, to)


def record_losses(name: str, to: Path) -> None:
    """Evaluate a model in the form that ships and store its losses in its file."""
    file = weights_file.load(to)
    ids = split(load_corpus([name], vocab=file.vocab).ids, 0.1)[1]
    summary = {**file.summary, "evaluated": measured(file, ids)}
    weights_file.save(to, dataclasses.replace(file, summary=summary), half=True)
    print(f"{to}: {to.stat().st_size:,} bytes, {summary['evaluated']}")


def main() -> None:
    """Build the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"{', '.join(OPTIONS)} (default: all)")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="folder for training (default: build)")
    parser.add_argument("--trained", action="store_true", help="skip training: store the models in the folder")
    parser.add_argument("--evaluate", action="store_true", help="only evaluate the shipped models and store the losses")
    options = parser.parse_args()
    if unknown := set(options.names) - set(OPTIONS):  # not `choices`: before Python 3.12 they reject an empty list
        parser.error(f"there is no {', '.join(sorted(unknown))}; expected {' or '.join(OPTIONS)}")
    for name in options.names or OPTIONS:
        to = Path(__file__).parent / f"{name}.npz"
        if options.evaluate:
            record_losses(name, to)
            continue
        options.folder.mkdir(exist_ok=True)
        path = options.folder / f"{name}.npz"
        ship(name, path if options.trained else train(name, options.folder), to)


if __name__ == "__main__":
    main()

"""Make the models that ship again: train each by the command line, and store it as it is shipped.

    python models/make.py shakespeare            # or python, or both; see --help

Each takes about half an hour on two cores. The weights of a training run depend on the machine in their last digits, so
that a model made elsewhere is as good, but not the same bits. What it comes to is measured on the part of the text
that was kept back, with the weights as they are stored, and goes into the file, where `numlstm info` shows it.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import subprocess
import sys
from pathlib import Path

from numlstm import Model
from numlstm.backends import registry
from numlstm.network import weights_file
from numlstm.network.evaluate import evaluate, evaluate_windows
from numlstm.network.sharing import to_share
from numlstm.text.dataset.corpus import load_corpus
from numlstm.text.dataset.streams import split
from numlstm.text.sources.catalog import corpus_names

WINDOW = 256  # tokens of a cold window: as long as those of nanoGPT's character model

# What each is trained with; the corpus is the one of the same name.
OPTIONS = {
    "shakespeare": "--layers 272,272 --batch-size 32 --dropout 0.4 --recurrent-dropout 0.15 "
    "--reset-state 0.02 --average 0.999 --lr 0.005 --lr-floor 0 --epochs 18",
    "python": "--layers 256,256 --batch-size 32 --dropout 0.15 --reset-state 0 --average 0.999 --lr 0.006 --lr-floor 0 "
    "--epochs 8",
}


def train(name: str, folder: Path) -> Path:
    """Train a model, or go on with one whose training was stopped; return its weights file."""
    path = folder / f"{name}.npz"
    words = ["--resume", str(path)] if path.exists() else [name, *shlex.split(OPTIONS[name]), "-o", str(path)]
    subprocess.run([sys.executable, "-m", "numlstm", "train", *words], check=True)
    return path


def measured(file: weights_file.WeightsFile, ids) -> dict[str, float | int]:
    """Return the losses on the part of the text that was kept back, by nanoGPT's protocol and with carried state."""
    model = Model(file.config, file.params, registry.load("cpu"), vocab=file.vocab)
    cold = evaluate_windows(model, ids, WINDOW)
    found = {"carried": evaluate(model, ids), "cold": cold.nats, "cold_error": cold.standard_error, "window": WINDOW}
    return {**found, "tokens": len(ids) - 1}


def ship(name: str, trained: Path, to: Path) -> None:
    """Store a trained model as it is shipped, with what it was trained on and what it comes to."""
    entry = corpus_names()[name]
    file = weights_file.load(trained)
    about = {key: str(entry[key]) for key in ("title", "author", "language", "licence", "url") if key in entry}
    shared = to_share(file, about)
    summary = dict(shared.summary)
    summary["commands"] = [f"numlstm train {name} {OPTIONS[name]}"]
    summary["corpus"] = {**summary["corpus"], "sources": [name]}
    weights_file.save(to, dataclasses.replace(shared, summary=summary), half=True)
    ids = split(load_corpus([name], vocab=file.vocab).ids, 0.1)[1]
    summary["evaluated"] = measured(weights_file.load(to), ids)
    weights_file.save(to, dataclasses.replace(shared, summary=summary), half=True)
    print(f"{to}: {to.stat().st_size:,} bytes, {summary['evaluated']}")


def main() -> None:
    """Make the models whose names are given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which of {', '.join(OPTIONS)}; all if none is given")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where training keeps its files")
    parser.add_argument("--trained", action="store_true", help="store what lies in the folder as it is")
    options = parser.parse_args()
    if unknown := set(options.names) - set(OPTIONS):  # not by `choices`: before Python 3.12 they refuse no name at all
        parser.error(f"there is no {', '.join(sorted(unknown))}; expected {' or '.join(OPTIONS)}")
    options.folder.mkdir(exist_ok=True)
    for name in options.names or OPTIONS:
        path = options.folder / f"{name}.npz"
        ship(name, path if options.trained else train(name, options.folder), Path(__file__).parent / f"{name}.npz")


if __name__ == "__main__":
    main()

"""Does a word-level network beat the n-gram model on the same text, and how long does it have to train?

Runs `numlstm train --level word --pretokenised` on the whole of one text, and `numlstm eval` on another, as a user
would. Compares with the model of `ngram.py`, built from the same text and predicting the same tokens. Arguments after
-- are passed to `numlstm train`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import ngram
from .measure import ROOT, environment, options, write_results

# Small texts need strong regularisation. Tied weights halve the parameters, most of which belong to words.
RECIPE = "--layers 200 --embedding 200 --tie-weights --layer-norm --dropout 0.5 --recurrent-dropout 0.3"
RECIPE += " --batch-size 16 --seq-len 35 --lr 0.004 --epochs 10"


def run(*arguments: str) -> str:
    """Run numlstm and return its standard output. Raises `CalledProcessError` if it fails."""
    command = [sys.executable, "-m", "numlstm", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, check=True, text=True).stdout


def measure(training: Path, test: Path, recipe: list[str]) -> dict[str, Any]:
    """Train and evaluate; `seconds` is the wall time of the training command, including compilation."""
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "words.npz")
        level = ["--level", "word", "--pretokenised", "--val-split", "0", "--sample-length", "0"]
        started = time.monotonic()
        run("train", str(training.resolve()), "-o", weights, *level, *recipe)
        seconds = time.monotonic() - started
        found = json.loads(run("eval", weights, str(test.resolve()), "--json"))
        del found["files"]  # its one file, by its path on this machine
        about = json.loads(run("info", weights, "--json"))
    return {"seconds": round(seconds, 1), "eval": found, "model": about["config"]}


def main() -> None:
    parser = options("words", __doc__)
    parser.add_argument("train", type=Path, help="training text, already tokenised")
    parser.add_argument("test", type=Path, help="test text")
    parser.add_argument("extra", nargs="*", metavar="-- ARGUMENT", help=f"training options (default: {RECIPE})")
    args: argparse.Namespace = parser.parse_args()
    recipe = args.extra or [*RECIPE.split(), *(["--steps", "20"] if args.quick else [])]
    if args.quick and not args.extra:
        recipe = [word for word in recipe if word not in ("--epochs", "10")]
    network = measure(args.train, args.test, recipe)
    texts = [path.read_text("utf-8") for path in (args.train, args.test)]
    bar = ngram.measure(*texts, "word", 2, [5])
    files = {"train": args.train.name, "test": args.test.name}
    args.train, args.test, args.extra = args.train.name, args.test.name, recipe
    perplexity = network["eval"]["perplexity"]
    print(f"numlstm: perplexity {perplexity:.2f} after {network['seconds']:.0f} s of training")
    write_results("words", args, {"files": files, "numlstm": network, "ngram": bar})


if __name__ == "__main__":
    main()

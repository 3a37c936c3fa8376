"""How good does a model get on a real text, and how soon?

Runs `numlstm train` as a user would, first with nothing compiled and then with the compiled code cached. Stops it after
`--minutes` and records when each epoch's weights were saved. A target loss is reached at the first epoch at or below
it. At the end the best weights are evaluated on the whole validation text, as one stream with carried state; that is
the loss to quote. Arguments after -- are passed to `numlstm train`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import pictures
from .measure import ROOT, compiled_code_in, environment, options, write_results

COLD, WARM = "cold", "warm"

_LOOK_SECONDS = 0.05

Point = dict[str, Any]


@dataclasses.dataclass
class Curve:
    """The epochs in a weights file's history, with the time each was saved. `started` is a Unix time in seconds."""

    path: Path
    started: float
    points: list[Point] = dataclasses.field(default_factory=list)
    seen: int = 0

    def look(self) -> None:
        """Add the epochs that are new in the file."""
        from numlstm.network import weights_file

        if not self.path.exists():
            return
        stat = self.path.stat()
        if stat.st_mtime_ns == self.seen:
            return
        self.seen = stat.st_mtime_ns
        for step, train_loss, val_loss in weights_file.load(self.path).summary["history"][len(self.points) :]:
            seconds = round(stat.st_mtime - self.started, 2)
            self.points.append({"seconds": seconds, "step": step, "train_loss": train_loss, "val_loss": val_loss})


def seconds_to(points: list[Point], target: float) -> float | None:
    """Return when the validation loss was first at or below `target`, or None if never."""
    return next((p["seconds"] for p in points if p["val_loss"] is not None and p["val_loss"] <= target), None)


def train(command: list[str], path: Path, cache: Path | None, minutes: float) -> tuple[Curve, float]:
    """Run a training command; return the curve and the wall time in seconds. Raises `RuntimeError` if it fails.

    `cache` is the folder for compiled code (None: the usual one).
    """
    curve = Curve(path, time.time())
    process = subprocess.Popen(command, cwd=ROOT, env=environment(**compiled_code_in(cache)))
    deadline = time.monotonic() + 60 * minutes
    stopped = False
    while process.poll() is None:
        time.sleep(_LOOK_SECONDS)
        curve.look()
        if time.monotonic() > deadline and not stopped:
            process.send_signal(signal.SIGINT)  # numlstm finishes the step and saves
            stopped = True
    taken = time.time() - curve.started
    # An interrupted run exits with 130. If it was just finishing, it exits with 0 or dies from the signal.
    if process.returncode not in ((130, 0, -signal.SIGINT) if stopped else (0,)):
        raise RuntimeError(f"exit code {process.returncode} from {' '.join(command[1:])}")
    curve.look()
    return curve, taken


def judged(corpus: str, path: Path) -> dict[str, Any]:
    """Return the loss of the best weights on the whole validation text, with the corpus and the settings."""
    from numlstm.backends import registry
    from numlstm.model import Model
    from numlstm.network import weights_file
    from numlstm.network.evaluate import evaluate
    from numlstm.text.dataset.corpus import load_corpus
    from numlstm.text.dataset.streams import split

    file = weights_file.load(path)
    assert file.state is not None  # `train` wrote it
    text = load_corpus([corpus], vocab=file.vocab)
    _, val_ids = split(text.ids, file.state.config.val_split)
    model = Model(file.config, file.params, registry.load("cpu"), vocab=file.vocab)
    loss = evaluate(model, val_ids, streams=1)
    return {
        "corpus": {"name": Path(corpus).stem, "characters": len(text.ids), "sha256": text.digest},
        "model": file.config.to_dict(),
        "training": file.state.config.to_dict(),
        "steps": file.state.step,
        "best_step": file.summary["best_step"],
        "val_characters": len(val_ids),
        "val_loss": round(loss, 5),
    }


def measure(caches: list[str], corpus: str, extra: list[str], minutes: float, targets: list[float]) -> dict[str, Any]:
    """Train once with each kind of cache; a warm cache is the one the cold run filled, or the usual one."""
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache" if COLD in caches else None
        for kind in caches:
            path = Path(folder) / f"{kind}.npz"
            command = [sys.executable, "-m", "numlstm", "train", corpus, "-o", str(path), "--device", "cpu"]
            if cache is None:
                _run_shortly([*command, *_without_length(extra)], path)
            curve, taken = train([*command, *extra], path, cache, minutes)
            reached = {f"{target:g}": seconds_to(curve.points, target) for target in targets}
            result = judged(corpus, path)
            runs[kind] = {"seconds": round(taken, 2), "seconds_to": reached, **result, "curve": curve.points}
            _show(kind, runs[kind])
    return runs


def _without_length(extra: list[str]) -> list[str]:
    """Return the arguments without `--epochs` and `--steps`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--epochs")
    parser.add_argument("--steps")
    return parser.parse_known_args(extra)[1]


def _run_shortly(command: list[str], path: Path) -> None:
    """Train for one step, to compile everything that the command needs."""
    subprocess.run([*command, "--steps", "1"], cwd=ROOT, env=environment(), capture_output=True, check=True)
    path.unlink()


def _show(kind: str, run: dict[str, Any]) -> None:
    print(f"{kind}: {run['val_loss']:.4f} nats per character after {run['seconds']:.1f} s, {run['steps']:,} steps")
    for target, seconds in run["seconds_to"].items():
        print(f"{kind}: {target} nats " + ("were not reached" if seconds is None else f"after {seconds:.1f} s"))


def _parsed() -> argparse.Namespace:
    parser = options("quality", __doc__)
    parser.add_argument("--corpus", default="python", help="a corpus name, file or folder (default: python)")
    parser.add_argument("--minutes", type=float, default=3.0, help="time limit of a run (default: 3)")
    parser.add_argument("--targets", default="1.88,1.60", help="losses to reach, in nats (default: 1.88,1.60)")
    parser.add_argument("--label", help="write results/quality-LABEL.json, for runs with other arguments")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--cold", action="store_true", help="only with nothing compiled")
    only.add_argument("--warm", action="store_true", help="only with the usual cache")
    parser.add_argument("extra", nargs="*", metavar="-- ARGUMENT", help="more arguments for `numlstm train`")
    return parser.parse_args()


def main() -> None:
    args = _parsed()
    if args.quick:
        args.minutes, args.warm, args.extra = 0.5, True, [*_without_length(args.extra), "--steps", "50"]
    # Resolve paths against the user's working directory: the command runs in the checkout.
    corpus = os.path.abspath(args.corpus) if os.path.exists(args.corpus) else args.corpus
    caches = [COLD] if args.cold else [WARM] if args.warm else [COLD, WARM]
    targets = [float(target) for target in args.targets.split(",")]
    runs = measure(caches, corpus, args.extra, args.minutes, targets)
    path = write_results("quality", args, {"targets": targets, "runs": runs}, f"-{args.label}" if args.label else "")
    pictures.draw_if_possible(path)


if __name__ == "__main__":
    main()

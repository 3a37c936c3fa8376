"""How good does a model get on a real text, and how soon?

Runs `numlstm train` with default settings as a user would, with nothing compiled yet, stops it after so many
minutes at most, and notes when each epoch's weights were saved. At the end the best weights read the whole
validation text once more, as one stream with carried state: that is the loss to quote.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .measure import ROOT, environment, options, write_results

_LOOK_SECONDS = 0.1

Point = dict[str, Any]


@dataclasses.dataclass
class Curve:
    """The epochs that a weights file tells of, and when it did. `started` is the time of day in seconds."""

    path: Path
    started: float
    points: list[Point] = dataclasses.field(default_factory=list)
    seen: int = 0

    def look(self) -> None:
        """Note what the file tells that it did not before."""
        from numlstm import weights

        if not self.path.exists():
            return
        stat = self.path.stat()
        if stat.st_mtime_ns == self.seen:
            return
        self.seen = stat.st_mtime_ns
        for step, train_loss, val_loss in weights.load(self.path).summary["history"][len(self.points) :]:
            seconds = round(stat.st_mtime - self.started, 2)
            self.points.append({"seconds": seconds, "step": step, "train_loss": train_loss, "val_loss": val_loss})


def train(corpus: str, path: Path, cache: Path | None, minutes: float, extra: list[str]) -> tuple[Curve, float]:
    """Train, and return the curve and the wall time in seconds; `RuntimeError` if the command fails.

    `cache` is the folder for compiled code, None the usual one.
    """
    where = {} if cache is None else {"NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "numlstm", "train", corpus, "-o", str(path), "--device", "cpu", *extra]
    curve = Curve(path, time.time())
    process = subprocess.Popen(command, cwd=ROOT, env=environment(**where))
    deadline = time.monotonic() + 60 * minutes
    stopped = False
    while process.poll() is None:
        time.sleep(_LOOK_SECONDS)
        curve.look()
        if time.monotonic() > deadline and not stopped:
            process.send_signal(signal.SIGINT)  # numlstm then finishes the step and saves
            stopped = True
    taken = time.time() - curve.started
    if process.returncode != (130 if stopped else 0) and not (stopped and process.returncode == 0):
        raise RuntimeError(f"exit code {process.returncode} from {' '.join(command[1:])}")
    curve.look()
    return curve, taken


def judged(corpus: str, path: Path) -> dict[str, Any]:
    """Return the loss of the best weights over the whole validation text, and what they were trained on."""
    from numlstm import backends, weights
    from numlstm.evaluate import evaluate
    from numlstm.model import Model
    from numlstm.text.batches import split
    from numlstm.text.corpus import load_corpus

    file = weights.load(path)
    assert file.state is not None  # `train` wrote it
    text = load_corpus([corpus], vocab=file.vocab)
    _, val_ids = split(text.ids, file.state.config.val_split)
    model = Model(file.config, file.params, backends.load("cpu"), vocab=file.vocab)
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


def main() -> None:
    parser = options("quality", __doc__)
    parser.add_argument("--corpus", default="python", help="a corpus name, file or folder (default: python)")
    parser.add_argument("--layers", default="128,128", help="the size of each layer (default: 128,128)")
    parser.add_argument("--minutes", type=float, default=3.0, help="stop after so long (default: 3)")
    parser.add_argument("--warm", action="store_true", help="use compiled code that is already cached")
    args = parser.parse_args()
    extra = ["--layers", args.layers]
    if args.quick:
        args.minutes, args.warm, extra = 0.5, True, [*extra, "--steps", "100"]
    # Relative to where the user is, not to the checkout, in which the command runs.
    corpus = os.path.abspath(args.corpus) if os.path.exists(args.corpus) else args.corpus
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder) / "weights.npz", None if args.warm else Path(folder) / "cache"
        curve, taken = train(corpus, path, cache, args.minutes, extra)
        result = judged(corpus, path)
    print(f"{result['val_loss']:.4f} nats per character after {taken:.1f} s, {result['steps']:,} steps")
    write_results("quality", args, {"seconds": round(taken, 2), **result, "curve": curve.points})


if __name__ == "__main__":
    main()

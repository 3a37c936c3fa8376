"""Kill a training run at random moments, go on each time, and compare the end with a run that nobody killed.

    python -m tests.cli.train.kills --kills 20

Whether `kill -9` loses anything that was saved: the weights at the end, the optimizer's memory and the losses must be
the same to the last bit. Saves come so often that some kills hit one in the middle.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from numlstm.network import weights_file
from numlstm.text.sources.python_library import python_source

# A step takes a few milliseconds, and a save hardly more.
SMALL = ("--layers", "24,16", "--batch-size", "4", "--seq-len", "16", "--device", "reference", "--sample-length", "0")


@dataclasses.dataclass(frozen=True)
class Killed:
    """What came of it: at which steps the run was after each kill, how many saves a kill cut short, and the end."""

    steps: list[int]
    cut_short: int
    left_over: int
    same: bool


def train(folder: Path, output: str, steps: int) -> subprocess.Popen[bytes]:
    """Start the run, or go on with it: for {job} that is the same command."""
    command = ["train", "text.txt", *SMALL, "--steps", str(steps), "--save-every", "3steps", "-o", output]
    return subprocess.Popen([sys.executable, "-m", "numlstm", *command], cwd=folder, stderr=subprocess.DEVNULL)


def contents(path: Path) -> tuple[object, ...]:
    """All that the run came to; how long it took and where it was to be saved are each run's own."""
    file = weights_file.load(path)
    assert file.state is not None
    state = file.state
    arrays = (file.params, state.params, *state.slots.values(), *state.h, *state.c)
    record = {name: value for name, value in state.record.items() if name not in ("seconds", "commands")}
    return (*(array.tobytes() for array in arrays), record, state.step, state.config)


def kill_and_go_on(folder: Path, *, kills: int, steps: int, seed: int) -> Killed:
    """Train a tiny network in `folder` twice, the second time with so many kills on the way."""
    (folder / "text.txt").write_text(python_source()[:6000], encoding="utf-8", newline="")
    if train(folder, "whole.npz", steps).wait(timeout=600):
        raise SystemExit("the run that was not to be killed failed")
    moments, output = random.Random(seed), folder / "runs" / "text-24-16.npz"
    reached, cut_short = [0], 0
    while len(reached) <= kills:
        before = set(output.parent.glob(".*.tmp"))
        process = train(folder, "runs/{job}.npz", steps)
        _wait_for_a_save(process, output, reached[-1])
        try:
            process.wait(timeout=moments.uniform(0.0, 0.4))
            break  # it came to its end
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reached.append(_step(output))
        cut_short += bool(set(output.parent.glob(".*.tmp")) - before)
    if train(folder, "runs/{job}.npz", steps).wait(timeout=600):
        raise SystemExit("the run could not go on after the last kill")
    left_over = len(list(output.parent.glob(".*.tmp")))
    return Killed(reached[1:], cut_short, left_over, contents(output) == contents(folder / "whole.npz"))


def _wait_for_a_save(process: subprocess.Popen[bytes], path: Path, step: int) -> None:
    """Return when the run has saved a step beyond `step`: else slow starts would be all that is ever killed."""
    while process.poll() is None and _step(path) <= step:
        time.sleep(0.005)


def _step(path: Path) -> int:
    if not path.exists():
        return 0
    state = weights_file.load(path).state
    return state.step if state else 0


def main() -> None:
    """Print what came of it; exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_and_go_on(Path(folder), kills=chosen.kills, steps=chosen.steps, seed=chosen.seed)
    print(f"killed {len(found.steps)} times, with these steps saved: {', '.join(map(str, found.steps))}")
    print(f"{found.cut_short} kills hit a save in the middle; {found.left_over} temporary files are left")
    print("the end is the same to the last bit" if found.same else "THE END DIFFERS")
    raise SystemExit(0 if found.same and len(found.steps) == chosen.kills else 1)


if __name__ == "__main__":
    main()

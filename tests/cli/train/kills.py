"""Kill a training run at random moments, resume it each time, and compare the result with an uninterrupted run.

    python -m tests.cli.train.kills --kills 20

`kill -9` must not lose anything that was saved: the final weights, optimizer state and losses must be bit-identical.
The run saves so often that some kills interrupt a save.
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

# A step takes a few milliseconds, a save only slightly longer.
SMALL = ("--layers", "24,16", "--batch-size", "4", "--seq-len", "16", "--device", "reference", "--sample-length", "0")


@dataclasses.dataclass(frozen=True)
class Killed:
    """The saved step after each kill, counts of saves cut short and files left over, and if the contents match."""

    steps: list[int]
    cut_short: int
    left_over: int
    same: bool


def train(folder: Path, output: str, steps: int) -> subprocess.Popen[bytes]:
    """Start or resume the run: with {job} in the output, the command is the same."""
    command = ["train", "text.txt", *SMALL, "--steps", str(steps), "--save-every", "3steps", "-o", output]
    return subprocess.Popen([sys.executable, "-m", "numlstm", *command], cwd=folder, stderr=subprocess.DEVNULL)


def contents(path: Path) -> tuple[object, ...]:
    """Return the contents of a checkpoint, without the duration and the commands, which differ between runs."""
    file = weights_file.load(path)
    assert file.state is not None
    state = file.state
    arrays = (file.params, state.params, *state.slots.values(), *state.h, *state.c)
    record = {name: value for name, value in state.record.items() if name not in ("seconds", "commands")}
    return (*(array.tobytes() for array in arrays), record, state.step, state.config)


def kill_and_go_on(folder: Path, *, kills: int, steps: int, seed: int) -> Killed:
    """Train a tiny network in `folder` twice, the second time interrupted by `kills` kills."""
    (folder / "text.txt").write_text(python_source()[:6000], encoding="utf-8", newline="")
    if train(folder, "whole.npz", steps).wait(timeout=600):
        raise SystemExit("the uninterrupted run failed")
    moments, output = random.Random(seed), folder / "runs" / "text-24-16.npz"
    reached, cut_short = [0], 0
    while len(reached) <= kills:
        before = set(output.parent.glob(".*.tmp"))
        process = train(folder, "runs/{job}.npz", steps)
        _wait_for_a_save(process, output, reached[-1])
        try:
            process.wait(timeout=moments.uniform(0.0, 0.4))
            break  # it finished
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reached.append(_step(output))
        cut_short += bool(set(output.parent.glob(".*.tmp")) - before)
    if train(folder, "runs/{job}.npz", steps).wait(timeout=600):
        raise SystemExit("the run could not be resumed after the last kill")
    left_over = len(list(output.parent.glob(".*.tmp")))
    return Killed(reached[1:], cut_short, left_over, contents(output) == contents(folder / "whole.npz"))


def _wait_for_a_save(process: subprocess.Popen[bytes], path: Path, step: int) -> None:
    """Wait until the run has saved a step beyond `step`; otherwise kills would only ever hit the slow start-up."""
    while process.poll() is None and _step(path) <= step:
        time.sleep(0.005)


def _step(path: Path) -> int:
    if not path.exists():
        return 0
    state = weights_file.load(path).state
    return state.step if state else 0


def main() -> None:
    """Print the result; exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_and_go_on(Path(folder), kills=chosen.kills, steps=chosen.steps, seed=chosen.seed)
    print(f"killed {len(found.steps)} times, with these steps saved: {', '.join(map(str, found.steps))}")
    print(f"{found.cut_short} kills interrupted a save; {found.left_over} temporary files are left over")
    print("the result is bit-identical" if found.same else "THE RESULT DIFFERS")
    raise SystemExit(0 if found.same and len(found.steps) == chosen.kills else 1)


if __name__ == "__main__":
    main()

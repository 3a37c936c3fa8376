"""Save a run: periodically, at the end even if its file cannot be written, and as snapshots of chosen epochs."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import StorageError
from ..network import weights_file
from ..settings.amounts import Every
from .state import TrainingState


def snapshot_path(path: str, epoch: int) -> str:
    """Return the path of an epoch's snapshot: weights-epoch5.npz beside weights.npz."""
    root, ending = os.path.splitext(path)
    return f"{root}-epoch{epoch}{ending}"


def check_snapshots(path: str, epochs: Sequence[int], *, overwrite: bool) -> None:
    """Check that the snapshots of these epochs can be written; raises `StorageError` as `check_output` does."""
    for epoch in epochs:
        weights_file.check_output(snapshot_path(path, epoch), overwrite=overwrite)


class Saver:
    """Saves the run periodically. A failed save or snapshot is reported through `say` and does not stop the run."""

    def __init__(self, run: TrainingState, path: str, every: Every, say: Callable[[str], None]) -> None:
        self.run, self.path, self.every, self.say = run, path, every, say
        self.last, self.began = time.monotonic(), run.step
        self.last_step = run.step
        self.saved = (-1, False)  # the step, and whether its epoch's result was recorded
        self.snapshots = frozenset(run.record.snapshot_epochs)

    def due(self) -> bool:
        """Return True if the run should be saved now; several steps may have passed since the last call."""
        if self.every.steps:
            return self.run.step // self.every.steps > self.last_step // self.every.steps
        return time.monotonic() - self.last > self.every.seconds

    def save(self) -> None:
        """Save the run. A failure is only reported: there may be room by the next time."""
        self.last, self.last_step = time.monotonic(), self.run.step
        try:
            self._write(self.path)
        except StorageError as error:
            self.say(f"not saved: {error}")

    def snapshot(self, epoch: int) -> None:
        """Write the snapshot of an epoch if requested; before the run is saved, so that a crash repeats the epoch."""
        if epoch not in self.snapshots:
            return
        try:
            weights_file.save(snapshot_path(self.path, epoch), self.run.snapshot())
        except StorageError as error:
            self.say(f"no snapshot of epoch {epoch}: {error}")

    def save_or_rescue(self) -> None:
        """Save anything new; if that fails, save to the temporary folder and raise `StorageError` that says where."""
        if self.saved == (self.run.step, self.run.epoch_recorded):
            return
        try:
            self._write(self.path)
        except StorageError as error:
            raise StorageError(f"{error}; {self._rescue()}") from None

    def _rescue(self) -> str:
        kept = self.saved_state_line()
        try:
            rescue = Path(tempfile.mkdtemp(prefix="numlstm-")) / Path(self.path).name
            self._write(str(rescue))
        except OSError as error:
            return f"nor can the run be saved elsewhere: {error.strerror or error}; {kept}"
        except StorageError as error:
            return f"nor can the run be saved elsewhere: {error}; {kept}"
        return f"the run was saved to {rescue} instead"

    def saved_state_line(self) -> str:
        """Return a short description of what the file holds."""
        step, _ = self.saved
        if step >= 0:
            return f"{self.path} holds step {step:,}"
        return f"nothing had been saved since step {self.began:,}" if self.began else "nothing had been saved yet"

    def _write(self, path: str) -> None:
        weights_file.save(path, self.run.to_file())
        self.saved = (self.run.step, self.run.epoch_recorded)

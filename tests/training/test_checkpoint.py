"""A run is saved when something is new, in another place if the disk is full, and the message says where."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from numlstm.backends import registry
from numlstm.errors import StorageError, WeightsError
from numlstm.model import Model
from numlstm.network import parameters, weights_file
from numlstm.settings.amounts import Every
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.dataset.streams import split
from numlstm.text.vocab.char import CharVocab
from numlstm.training.checkpoint import Saver, snapshot_path
from numlstm.training.loop import Epoch, train
from numlstm.training.state import TrainingState


@pytest.fixture
def run(source_text: str) -> TrainingState:
    vocab = CharVocab.from_text(source_text)
    config = NetworkSettings(len(vocab), (5,))
    model = Model(config, parameters.initialise(config, 0), registry.load("reference"), vocab=vocab)
    return TrainingState.start(model, TrainingSettings(steps=8, batch_size=4, seq_len=16))


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that fills the disk: afterwards writing fails, except to paths that contain `but`."""
    write = weights_file.npz.write

    def fill(but: str = "nowhere") -> None:
        def refuse(path: Any, arrays: Any) -> None:
            if but not in str(path):
                raise WeightsError(f"{path} cannot be written: no space left")
            write(path, arrays)

        monkeypatch.setattr(weights_file.npz, "write", refuse)

    return fill


def test_an_epoch_that_was_not_saved_is_saved_at_the_end(run: TrainingState, source_text: str, tmp_path: Path) -> None:
    """The epoch's last step was saved, but its validation result was not."""
    said: list[str] = []
    saver = Saver(run, str(tmp_path / "w.npz"), Every(), said.append)
    ids = run.model.vocab.encode(source_text[:2000])
    for event in train(run, *split(ids, 0.1)):
        if isinstance(event, Epoch):
            break
        saver.save()
    saver.save_or_rescue()
    assert weights_file.load(tmp_path / "w.npz").summary["best_loss"] == run.record.best_loss is not None


def test_no_room_anywhere_is_one_line(
    run: TrainingState, tmp_path: Path, full: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = Saver(run, str(tmp_path / "w.npz"), Every(), print)
    saver.save()
    run.step = 3
    full()
    with pytest.raises(StorageError, match=r"no space left; nor can .* elsewhere: .*no space left; .*holds step 0$"):
        saver.save_or_rescue()

    def no_folder(**options: Any) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "mkdtemp", no_folder)
    with pytest.raises(StorageError, match=r"no space left; nor can .* elsewhere: No usable .*holds step 0$"):
        saver.save_or_rescue()


def test_what_is_kept_of_a_run_that_went_on(run: TrainingState) -> None:
    run.step = 85
    assert Saver(run, "w.npz", Every(), print).saved_state_line() == "nothing had been saved since step 85"


def test_snapshots_lie_beside_the_output() -> None:
    assert snapshot_path("runs/a.b/w.npz", 5) == "runs/a.b/w-epoch5.npz"
    assert snapshot_path("weights", 0) == "weights-epoch0"

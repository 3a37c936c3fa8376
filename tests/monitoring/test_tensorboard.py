"""TensorBoard files hold the values of the run. The tests parse the file format, not using the library's own reader."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from numlstm.errors import LogError

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed (the extra `tensorboard`)")

from numlstm.monitoring.tensorboard import Board, check_installed

START = {"model": {}, "training": {"lr": 0.5}, "corpus": {"level": "char"}, "device": "reference"}
STEP = {"loss": 2.0, "gradient_norm": 3.0, "clipped_norm": 1.0, "lr": 0.25, "tokens_per_second": 8.0}


def event(kind: str, step: int, **more: Any) -> dict[str, Any]:
    return {"event": kind, "time": 1000.0, "step": step, **more}


def read(folder: Path) -> Iterator[Any]:
    """Yield the messages of all files. A record is: length (8 bytes), checksum (4), message, checksum (4)."""
    from tensorboardX.proto import event_pb2

    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    return {
        (value.tag, message.step): value.simple_value
        for message in read(folder)
        for value in message.summary.value
        if value.WhichOneof("value") == "simple_value"
    }


def test_every_curve_is_there(tmp_path: Path) -> None:
    board = Board(tmp_path / "new" / "board")
    board.write(event("start", 0, **START))
    board.write(event("step", 1, **STEP))
    board.write(event("epoch", 1, val_loss=1.0))
    board.close()
    assert scalars(tmp_path / "new" / "board") == {
        ("loss/training", 1): 2.0,
        ("bits_per_character/training", 1): pytest.approx(2.885390),
        ("perplexity/training", 1): pytest.approx(7.389056),
        ("gradient_norm/before_clipping", 1): 3.0,
        ("gradient_norm/after_clipping", 1): 1.0,
        ("learning_rate", 1): 0.25,
        ("speed/characters_per_second", 1): 8.0,
        ("loss/validation", 1): 1.0,
        ("bits_per_character/validation", 1): pytest.approx(1.442695),
        ("perplexity/validation", 1): pytest.approx(2.718282),
    }


def test_samples_are_text_and_gates_histograms(tmp_path: Path) -> None:
    board = Board(tmp_path)
    counts = [0] * 19 + [8]
    gate = {"mean": 0.99, "low": 0.0, "high": 1.0, "counts": counts}
    board.write(event("start", 0, **START))
    board.write(event("sample", 5, prompt="To ", temperature=0.5, text="be\nor"))
    board.write(event("gates", 5, layer=1, **dict.fromkeys("ifgo", gate)))
    board.close()
    values = {value.tag: value for message in read(tmp_path) for value in message.summary.value}
    assert values["sample/temperature_0.5/text_summary"].tensor.string_val[0] == b"    To be\n    or"
    assert b'"lr": 0.5' in values["run/text_summary"].tensor.string_val[0]
    histogram = values["gates/layer_1_forget"].histo
    assert list(histogram.bucket) == counts
    assert histogram.bucket_limit[-1] == 1.0
    assert histogram.num == 8
    assert values["gates/layer_1_candidate"].histo.min == -1


def test_what_a_resumed_run_does_again_is_taken_away(tmp_path: Path) -> None:
    for step in (0, 7):
        board = Board(tmp_path)
        board.write(event("start", step, **START))
        board.close()
    sessions = [message.step for message in read(tmp_path) if message.HasField("session_log")]
    assert sessions == [8]
    assert len(list(tmp_path.iterdir())) == 2, "no file is overwritten"


def test_a_loss_that_is_unknown_is_left_out(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.write(event("epoch", 1, val_loss=None))
    board.write(event("step", 2, **{**STEP, "tokens_per_second": None, "loss": float("nan")}))
    board.close()
    assert {tag for tag, _ in scalars(tmp_path)} == {
        "gradient_norm/before_clipping",
        "gradient_norm/after_clipping",
        "learning_rate",
    }


def test_a_folder_that_cannot_be_one_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LogError, match="name another folder for `tensorboard`"):
        Board(tmp_path / "file")


def test_a_full_disk_ends_the_board_with_one_error(tmp_path: Path) -> None:
    class Full:
        closed = False

        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            self.closed = True
            raise OSError(28, "No space left on device")

    board = Board(tmp_path)
    board._writer = full = Full()
    with pytest.raises(LogError, match="No space left"):
        board.write(event("start", 0, **START))
    assert full.closed
    board.write(event("step", 1, **STEP))
    board.close()
    assert scalars(tmp_path) == {}


def test_a_missing_library_is_told_with_what_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(LogError, match=r"pip install 'numlstm\[tensorboard\]'"):
        check_installed()
    with pytest.raises(LogError, match="tensorboardX"):
        Board(tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_bytes_that_are_no_text_are_shown_by_a_sign(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.write(event("start", 0, **START))
    board.write(event("sample", 5, prompt="a\udce9", temperature=0.5, text="\udc80b"))
    board.close()
    values = {value.tag: value for message in read(tmp_path) for value in message.summary.value}
    assert values["sample/temperature_0.5/text_summary"].tensor.string_val[0] == b"    a??b"

"""Shared copies: 16-bit weights, no private paths, and never mistaken for a full weights file."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from numlstm.errors import WeightsError
from numlstm.network import shipped, weights_file
from numlstm.network.parameters import count
from numlstm.network.sharing import to_share
from numlstm.network.weights_file import TrainState, WeightsFile
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.vocab.char import CharVocab

CONFIG = NetworkSettings(3, (5,))


def make(*, trained: bool = True, scale: float = 1.0) -> WeightsFile:
    rng = np.random.default_rng(0)
    flat = (scale * rng.standard_normal(count(CONFIG))).astype(np.float32)
    state = TrainState(
        config=TrainingSettings(steps=9, batch_size=2),
        step=9,
        params=flat,
        slots={"m": flat, "v": flat},
        h=[np.zeros((2, 5), np.float32)],
        c=[np.zeros((2, 5), np.float32)],
        record={},
    )
    summary = {
        "best_loss": 1.5,
        "best_step": 9,
        "corpus": {"sources": ["/home/ada/diary.txt", "python", r"C:\Users\ada\b.txt", "https://e.org/c.txt"]},
        "commands": ["numlstm train '/home/ada/my diary.txt' -o /tmp/w.npz --lr 0.1"],
        "history": [[n, 2.0, 1.5] for n in range(250)],
    }
    return WeightsFile(CONFIG, CharVocab("abc"), flat, summary, state if trained else None)


def test_a_copy_holds_the_weights_to_three_digits_in_half_the_space(tmp_path: Path) -> None:
    file = make()
    weights_file.save(tmp_path / "whole.npz", file)
    weights_file.save(tmp_path / "copy.npz", to_share(file, {"title": "A diary"}), half=True)
    found = weights_file.load(tmp_path / "copy.npz")
    assert found.params.dtype == np.float32
    assert found.params.tobytes() == file.params.astype(np.float16).astype(np.float32).tobytes()
    assert found.state is None
    assert found.summary["about"] == {"title": "A diary"}
    with np.load(tmp_path / "copy.npz", allow_pickle=False) as plain:
        assert {plain[name].dtype for name in plain.files if name != "meta"} == {np.dtype(np.float16)}
        assert json.loads(str(plain["meta"]))["stored"] == "float16"


def test_a_copy_tells_no_paths_and_not_every_epoch() -> None:
    summary = to_share(make(), {}).summary
    assert summary["corpus"]["sources"] == ["diary.txt", "python", "b.txt", "https://e.org/c.txt"]
    assert summary["commands"] == ["numlstm train 'my diary.txt' -o w.npz --lr 0.1"]
    assert len(summary["history"]) <= 100
    assert summary["history"][0] == [0, 2.0, 1.5]


def test_what_16_bits_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a file without training state"):
        weights_file.save(tmp_path / "a.npz", make(), half=True)
    with pytest.raises(WeightsError, match="65504"):
        weights_file.save(tmp_path / "a.npz", make(trained=False, scale=1e5), half=True)
    assert list(tmp_path.iterdir()) == []


def changed(path: Path, change: str) -> None:
    """Rewrite the file with another `stored` entry, or with 32-bit arrays although it says 16."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays["meta"]))
    if change == "wide":
        arrays = {name: array.astype(np.float32) for name, array in arrays.items() if name != "meta"}
    else:
        meta["stored"] = json.loads(change)
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays, "meta": np.array(json.dumps(meta))})
    path.write_bytes(buffer.getvalue())
    assert zipfile.is_zipfile(path)


@pytest.mark.parametrize("change", ["wide", '"float64"', "16", "null", '["float16"]'])
def test_a_file_that_is_not_stored_as_it_says_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "copy.npz"
    weights_file.save(path, dataclasses.replace(make(trained=False)), half=True)
    weights_file.load(path)
    changed(path, change)
    with pytest.raises(WeightsError, match=r"float16|stored"):
        weights_file.load(path)


def test_models_that_ship_load_by_name_and_tell_what_they_are() -> None:
    assert {"python", "shakespeare"} <= set(shipped.models())
    for name, path in shipped.models().items():
        file = weights_file.load(name)
        assert path.stat().st_size <= 2_000_000
        assert file.state is None
        assert {"title", "author", "licence"} <= set(file.summary["about"])
        assert file.summary["commands"][0].startswith(f"numlstm train {name} ")
        assert file.summary["evaluated"]["carried"] < 1.6
        assert file.summary["corpus"]["sources"] == [name]


def test_a_name_that_is_none_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no file or shipped model named .*python.*shakespeare"):
        weights_file.load("shakespear")
    with pytest.raises(WeightsError, match="there is no file"):
        weights_file.load(tmp_path / "shakespeare.npz")


def test_a_file_without_suffix_is_read_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    weights_file.save("mine", make())
    assert weights_file.load("mine").params.tobytes() == make().params.tobytes()
    weights_file.save("shakespeare", make())
    assert len(weights_file.load("./shakespeare").vocab) == 3
    assert len(weights_file.load("shakespeare").vocab) == 65, "the bare name means the shipped model"


def test_a_copy_tells_no_paths_that_are_part_of_a_word_nor_folders_beside_nor_passwords() -> None:
    words = "numlstm train ../ada/diary.txt --log=/home/ada/log.jsonl -o/home/ada/w.npz --lr=0.1 https://e.org/x/c.txt"
    url = "https://ada:secret@e.org/c.txt?token=secret"
    file = make()
    file.summary["commands"] = [f"{words} '{url}' 'file:///home/ada/d.txt'"]
    file.summary["corpus"]["sources"] = [url, "file:///home/ada/d.txt"]
    summary = to_share(file, {}).summary
    assert summary["commands"] == [
        "numlstm train diary.txt --log=log.jsonl -ow.npz --lr=0.1 https://e.org/x/c.txt https://e.org/c.txt d.txt"
    ]
    assert summary["corpus"]["sources"] == ["https://e.org/c.txt", "d.txt"]

"""`numlstm look` end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numlstm.analysis import cells
from numlstm.analysis.cell_pictures import Drawing, Panel
from numlstm.cli.look import terminal
from numlstm.model import load
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.char import CharVocab
from numlstm.text.vocab.word import WordBuilder
from tests.cli.conftest import Command

TEXT = 'She said "no, not me."\nThen he "left it."\n\n' * 30


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8", newline="")
    vocab = CharVocab.from_text(TEXT)
    config = NetworkSettings(len(vocab), (10, 6), projection=4, layer_norm=True)
    path = tmp_path / "w.npz"
    weights_file.save(path, weights_file.WeightsFile(config, vocab, 5 * parameters.initialise(config, 1), {}, None))
    return path


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search for cells in 200 tokens: the model would take seconds to write the usual 2,000."""
    monkeypatch.setattr("numlstm.cli.look.command._ENOUGH", 200)


def recorded(model: Path, text: str, what: str = "c") -> list[Any]:
    network = load(model, device="reference")
    return cells.record(network, network.vocab.encode(text), what=what)


@pytest.mark.usefixtures("little")
def test_cells_that_are_found(numlstm: Command, model: Path) -> None:
    command = ("look", model, "--file", "t.txt", "--json", "--cells", "3")
    found = json.loads(numlstm(*command).stdout)
    text, start = "".join(found["text"]), found["start"]
    assert TEXT[start : start + 400] == text
    activity = recorded(model, TEXT[:5000])
    network = load(model, device="reference")
    features = cells.token_features(network.vocab, network.vocab.encode(TEXT[:5000]))
    expected = cells.most_responsive(activity, features, 3)
    for cell, same in zip(found["cells"], expected, strict=True):
        assert (cell["layer"], cell["cell"]) == (same.layer, same.number)
        assert [each["feature"] for each in cell["responses"]] == [each.feature for each in same.responses]
        values = activity[same.layer][start : start + 400, same.number]
        np.testing.assert_allclose(cell["activations"], values, rtol=1e-4, atol=1e-6)
    only = json.loads(numlstm(*command, "--layer", "0").stdout)
    assert {cell["layer"] for cell in only["cells"]} == {0}


def test_cells_that_are_asked_for(numlstm: Command, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("look", model, "--text", TEXT[:90], "--json", "--cell", "2", "--cell", "5")
    for options, what, layer, enough in (((), "c", 1, 2000), (("--gate", "f", "--layer", "0"), "f", 0, 200)):
        monkeypatch.setattr("numlstm.cli.look.command._ENOUGH", enough)
        found = json.loads(numlstm(*command, *options, "--start", "7", "--length", "30").stdout)
        assert (found["start"], "".join(found["text"]), found["gate"]) == (7, TEXT[7:37], what)
        assert found["sought_in"] == enough, "the model must continue a text that is too short"
        values = recorded(model, TEXT[:90], what)[layer][7:37]
        assert [(cell["layer"], cell["cell"]) for cell in found["cells"]] == [(layer, 2), (layer, 5)]
        for cell in found["cells"]:
            np.testing.assert_allclose(cell["activations"], values[:, cell["cell"]], rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("little")
def test_far_into_a_text_only_what_is_near_is_read(numlstm: Command, model: Path) -> None:
    options = ("--file", "t.txt", "--start", "1000", "--length", "20", "--cell", "1", "--json")
    found = json.loads(numlstm("look", model, *options).stdout)
    assert (found["start"], "".join(found["text"])) == (1000, TEXT[1000:1020])
    values = recorded(model, TEXT[744:1020])[1][256:, 1]
    np.testing.assert_allclose(found["cells"][0]["activations"], values, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("little")
def test_without_a_text_the_model_writes_one(numlstm: Command, model: Path) -> None:
    command = ("look", model, "--cell", "1", "--length", "40", "--start", "0", "--json")
    texts = ["".join(json.loads(numlstm(*command, "--seed", seed).stdout)["text"]) for seed in ("0", "1")]
    network = load(model, device="reference")
    assert texts == [network.generate(length=40, temperature=0.6, seed=seed)[:40] for seed in (0, 1)]
    assert texts[0] != texts[1]


@pytest.mark.usefixtures("little")
def test_in_a_terminal_without_colours_and_as_a_picture(numlstm: Command, model: Path, tmp_path: Path) -> None:
    command = ("look", model, "--text", TEXT[:50], "--layer", "0", "--cell", "3")
    done = numlstm(*command)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "-1 blue, 0 white, 1 red" in lines[0]
    assert lines[3].startswith("layer 0, cell 3: ")
    assert lines[5::2] == ['She said "no, not me."↵', 'Then he "left it."↵', "↵", "She sai"]
    values = recorded(model, TEXT[:50])[0][:, 3]
    digits = [int(digit) for line in lines[6::2] for digit in line]
    np.testing.assert_allclose(digits, np.floor(np.clip(5 * (values + 1), 0, 9.999)), atol=1)
    done = numlstm(*command, "-o", "cells.svg", "--drop-unknown", "--gate", "i")
    assert (done.stdout, done.stderr) == ("", "drew cells.svg\n")
    picture = (tmp_path / "cells.svg").read_text("utf-8")
    assert "layer 0, cell 3" in picture
    assert "The input gate of cells of w.npz" in picture


def test_colours_are_those_of_the_values(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal.show(Drawing("t", "legend", ["a", "[b]", "\n"], [Panel("[x]", "", np.array([1.0, -1.0, 0.0]))]))
    out = capsys.readouterr().out
    assert "\x1b[38;2;255;255;255;48;2;178;24;43ma" in out
    assert "48;2;33;102;172m[b]" in out
    assert "48;2;247;247;247m↵" in out
    assert "[x]" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--text", "a", "--file", "t.txt"), "give either --text or --file"),
        (("--gate", "x"), "--gate is 'x'; expected c, i, f, g, o"),
        (("--length", "0"), "--length is 0; expected a whole number from 1"),
        (("--cells", "0"), "--cells is 0; expected a whole number from 1"),
        (("--text", "it", "--start", "5"), "--start is 5; expected less than the 2 characters of the text"),
        (("--layer", "2"), "--layer is 2; expected 0 to 1"),
        (("--cell", "6"), "--cell is 6; expected 0 to 5 in layer 1"),
        (("--text", "é"), "'é' U+00E9"),
        (("--text", "é", "--drop-unknown"), "the model knows no character of the text"),
        (("--file", "t.html", "-o", "./t.html"), "-o is ./t.html, which is also an input"),
        (("-o", "cells.gif"), "cells.gif is not the name of a picture"),
    ],
)
def test_mistakes_are_one_line(numlstm: Command, model: Path, options: tuple[str, ...], said: str) -> None:
    done = numlstm("look", model, *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr


@pytest.mark.usefixtures("little")
def test_words_and_other_encodings(numlstm: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    builder = WordBuilder(None, 1, False)
    builder.feed("The “café” is (not)\nopen, he said.\n")
    builder.end()
    vocab = builder.build()
    config = NetworkSettings(len(vocab), (6,), embedding=4)
    weights_file.save(
        tmp_path / "w.npz", weights_file.WeightsFile(config, vocab, parameters.initialise(config, 1), {}, None)
    )
    (tmp_path / "t.txt").write_bytes("The café(not) is\nopen.\n".encode("utf-16"))
    command = ("look", "w.npz", "--file", "t.txt", "--encoding", "utf-16", "--cell", "1", "--cell", "3")
    found = json.loads(numlstm(*command, "--json").stdout)
    assert found["text"] == ["The", " café", "(", "not", ")", " is", "\n", "open", ".", "\n"]
    assert [len(cell["activations"]) for cell in found["cells"]] == [10, 10]
    lines = numlstm(*command).stdout.splitlines()
    assert lines[5] == "The café(not) is↵"
    digits = lines[6]
    assert [place for place, digit in enumerate(digits) if digit != " "] == [0, 3, 8, 9, 12, 13, 16]
    assert "utf-8" in numlstm("look", "w.npz", "--file", "t.txt").stderr

"""`numlstm score` end to end."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from numlstm.analysis import score
from numlstm.model import load
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.char import CharVocab
from numlstm.text.vocab.word import WordBuilder
from tests.cli.conftest import Command

TEXT = 'the shore, "is"\nthe north\n' * 8
REFERENCE = ("--device", "reference")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8", newline="")
    vocab = CharVocab.from_text(TEXT)
    config = NetworkSettings(len(vocab), (10, 6))
    path = tmp_path / "w.npz"
    weights_file.save(path, weights_file.WeightsFile(config, vocab, 5 * parameters.initialise(config, 1), {}, None))
    return path


def test_json_is_what_eval_and_the_api_say(numlstm: Command, model: Path) -> None:
    found = json.loads(numlstm("score", model, "t.txt", *REFERENCE, "--json").stdout)
    measured = json.loads(numlstm("eval", model, "t.txt", *REFERENCE, "--json").stdout)
    for name in ("nats_per_token", "bits_per_token", "perplexity"):
        assert found[name] == pytest.approx(measured[name], rel=1e-6)
    assert found["predicted"] == measured["tokens"] == len(TEXT) - 1
    assert found["level"] == "char"
    tokens = found["tokens"]
    assert "".join(token["text"] for token in tokens) == TEXT
    network = load(model, device="reference")
    expected = score.log_probabilities(network, network.vocab.encode(TEXT))
    assert tokens[0] == {"id": tokens[0]["id"], "text": "t", "log_probability": None, "rank": None}
    np.testing.assert_allclose([token["log_probability"] for token in tokens[1:]], expected, rtol=1e-9)
    assert found["nats"] == pytest.approx(-expected.sum())
    assert found["likeliest"] == sum(token["rank"] == 0 for token in tokens)
    assert found["among_five"] == sum(token["rank"] is not None and token["rank"] < 5 for token in tokens)


def test_csv_and_a_page_and_unknown_characters(numlstm: Command, model: Path, tmp_path: Path) -> None:
    text = f"é{TEXT}é"
    done = numlstm("score", model, "-", *REFERENCE, "--csv", stdin=text)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "--drop-unknown" in done.stderr
    command = ("score", model, "-", *REFERENCE, "--drop-unknown")
    done = numlstm(*command, "--csv", "--html", "new/page.html", stdin=text)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert "".join(row["text"] for row in rows) == TEXT
    assert [int(row["place"]) for row in rows] == list(range(len(TEXT)))
    found = json.loads(numlstm(*command, "--json", stdin=text).stdout)
    assert found["dropped"] == 2
    for row, token in zip(rows[1:], found["tokens"][1:], strict=True):
        assert (int(row["id"]), float(row["log_probability"]), int(row["rank"])) == (
            token["id"],
            token["log_probability"],
            token["rank"],
        )
    assert done.stderr.endswith("wrote new/page.html\n")
    page = (tmp_path / "new" / "page.html").read_text("utf-8")
    assert page.count('<i class="s') == len(TEXT)
    assert "<h1>-, as w.npz reads it</h1>" in page


def test_what_a_person_reads(numlstm: Command, model: Path, tmp_path: Path) -> None:
    odd = TEXT[:100] + "ooo" + TEXT[100:]
    (tmp_path / "[b]odd.txt").write_text(odd, encoding="utf-8", newline="")
    shown = numlstm("score", model, "t.txt", "[[]b]odd.txt", *REFERENCE, "--places", "3").stdout
    assert " nats per character, " in shown
    assert f"{len(TEXT) + len(odd) - 1:,} characters predicted" in shown
    assert "% were the likeliest one" in shown
    lines = shown.splitlines()
    places = lines[lines.index("The most surprising places:") + 2 :]
    assert len(places) == 3
    network = load(model, device="reference")
    logs = score.log_probabilities(network, network.vocab.encode(TEXT + odd))
    at = int(np.argmin(logs)) + 1
    line = (TEXT + odd)[:at].count("\n") - (TEXT.count("\n") if at >= len(TEXT) else 0) + 1
    assert places[0].split()[0].endswith(f".txt:{line}")
    assert f"{-logs.min() / np.log(2):.1f}" in places[0].split()
    assert f"»{(TEXT + odd)[at]}«".replace("\n", "↵") in places[0]
    assert "The most surprising" not in numlstm("score", model, "t.txt", *REFERENCE, "--places", "0").stdout


def test_words(numlstm: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    builder = WordBuilder(None, 1, False)
    builder.feed(TEXT)
    builder.end()
    vocab = builder.build()
    config = NetworkSettings(len(vocab), (6,), embedding=4)
    weights_file.save(
        tmp_path / "w.npz", weights_file.WeightsFile(config, vocab, parameters.initialise(config, 1), {}, None)
    )
    found = json.loads(numlstm("score", "w.npz", "-", *REFERENCE, "--json", stdin=TEXT + "xyzzy").stdout)
    assert "".join(token["text"] for token in found["tokens"]) == TEXT + "<unk>"
    assert found["unknown"] == 1
    assert "1 tokens are not in the vocabulary" in numlstm("score", "w.npz", "-", *REFERENCE, stdin="the xyzzy").stdout


def test_a_byte_amid_a_character_is_shown_with_it(
    numlstm: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "비가 왔다. 그는 우산이 없었다.\n" * 4
    vocab = ByteVocab()
    config = NetworkSettings(len(vocab), (6,))
    weights_file.save(
        tmp_path / "w.npz", weights_file.WeightsFile(config, vocab, parameters.initialise(config, 1), {}, None)
    )
    shown = numlstm("score", "w.npz", "-", *REFERENCE, "--places", "9", stdin=text).stdout
    assert "\ufffd" not in shown
    places = [line for line in shown.splitlines() if "»" in line]
    assert len(places) == 9
    for line in places:
        before, label, after = re.split("[»«]", line)
        assert len(label) == 1
        assert before.split("  ")[-1].lstrip() + label + after.split("  ")[0] in text.replace("\n", "↵")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("t.txt", "--json", "--csv"), "give either --json or --csv"),
        (("t.txt", "--places", "-1"), "--places is -1; expected a whole number from 0"),
        (("t.txt", "--html", "."), ". is a folder"),
        (("t.txt", "--device", "abacus"), "abacus"),
        (("t.txt", "--encoding", "utf-16"), "utf-16"),
        (("t.txt", "--html", "./t.txt"), "--html is ./t.txt, which is also an input"),
        (("t.txt", "--html", "w.npz"), "--html is w.npz, which is also an input"),
        (("one.txt",), "the text has 1 character; expected at least 2"),
    ],
)
def test_mistakes_are_one_line(
    numlstm: Command, model: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    (tmp_path / "one.txt").write_text("t")
    done = numlstm("score", model, *REFERENCE, *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr

"""`gen`, `eval`, `info` and the root command end to end."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

import numlstm as library
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.char import CharVocab
from tests.cli.conftest import Command

SYMBOLS = "\n abcdehilnorstuw한글🙂́"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write the weights file of an untrained network."""
    vocab = CharVocab("".join(sorted(SYMBOLS)))
    config = NetworkSettings(len(vocab), (10, 6))
    path = tmp_path / "w.npz"
    weights_file.save(path, weights_file.WeightsFile(config, vocab, parameters.initialise(config, 1), {}, None))
    return path


def test_gen_writes_text_to_stdout(numlstm: Command, model: Path) -> None:
    done = numlstm("gen", model, "--length", "300", "--seed", "3", "--device", "reference")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout) == 300
    assert set(done.stdout) <= set(SYMBOLS)
    assert done.stdout == numlstm("gen", model, "--length", "300", "--seed", "3", "--device", "reference").stdout
    assert done.stdout != numlstm("gen", model, "--length", "300", "--seed", "4", "--device", "reference").stdout
    expected = library.load(str(model), device="reference").generate("", length=300, temperature=0.6, seed=3)
    assert done.stdout == expected


def test_gen_without_a_seed_differs_each_time(numlstm: Command, model: Path) -> None:
    texts = {numlstm("gen", model, "--temperature", "1", "--device", "reference").stdout for _ in range(2)}
    assert len(texts) == 2


def test_gen_prints_the_prompt_first(numlstm: Command, model: Path) -> None:
    done = numlstm("gen", model, "--prompt", "한글 the ", "--length", "5", "--device", "reference")
    assert done.stdout.startswith("한글 the ")
    assert len(done.stdout) == len("한글 the ") + 5


def test_gen_names_unknown_characters_and_the_option(numlstm: Command, model: Path) -> None:
    done = numlstm("gen", model, "--prompt", "theXYé", "--device", "reference")
    assert done.returncode == 1
    assert done.stdout == ""
    for character in "XYé":
        assert character in done.stderr
    assert "--drop-unknown" in done.stderr
    dropped = numlstm("gen", model, "--prompt", "theXYé", "--drop-unknown", "--length", "4", "--device", "reference")
    assert dropped.returncode == 0
    assert dropped.stdout.startswith("the")
    assert len(dropped.stdout) == 7


@pytest.mark.parametrize("temperature", ["0", "1e-300", "0.001", "1", "100", "1e300"])
def test_no_temperature_crashes(numlstm: Command, model: Path, temperature: str) -> None:
    done = numlstm("gen", model, "--temperature", temperature, "--length", "20", "--device", "reference")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 20


@pytest.mark.parametrize("temperature", ["-1", "nan", "inf"])
def test_a_bad_temperature_is_an_error(numlstm: Command, model: Path, temperature: str) -> None:
    done = numlstm("gen", model, "--temperature", temperature)
    assert done.returncode == 1
    assert "temperature" in done.stderr


def test_gen_survives_a_reader_that_leaves(model: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "numlstm", "gen", str(model), "--length", "200000", "--device", "reference"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(100)
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_eval_reports_the_loss(numlstm: Command, model: Path, tmp_path: Path) -> None:
    text = "the cat is the hat\n" * 20
    (tmp_path / "t.txt").write_text(text.replace("\n", "\n", 1), encoding="utf-8", newline="")
    (tmp_path / "t.txt").write_text("the shore is the north\n" * 20, encoding="utf-8", newline="")
    done = numlstm("eval", model, "t.txt", "--json", "--device", "reference")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    network = library.load(str(model), device="reference")
    ids = network.vocab.encode("the shore is the north\n" * 20)
    loss, _ = network.loss(ids[:-1, None], ids[1:, None])
    assert found["tokens"] == len(ids) - 1
    assert found["nats_per_token"] == pytest.approx(loss, abs=1e-6)
    assert found["bits_per_token"] == pytest.approx(loss / math.log(2), abs=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    plain = numlstm("eval", model, "t.txt", "--device", "reference")
    assert f"{found['nats_per_token']:.4f} nats per character" in plain.stdout


def test_eval_refuses_unknown_characters_or_drops_them(numlstm: Command, model: Path) -> None:
    refused = numlstm("eval", model, "-", "--device", "reference", stdin="the END")
    assert refused.returncode == 1
    assert "--drop-unknown" in refused.stderr
    done = numlstm("eval", model, "-", "--drop-unknown", "--json", "--device", "reference", stdin="the END")
    assert json.loads(done.stdout)["dropped"] == 3


def test_info_shows_the_network(numlstm: Command, model: Path) -> None:
    done = numlstm("info", model)
    assert done.returncode == 0, done.stderr
    for shown in ("lstm.0", "lstm.1", "output", "characters"):
        assert shown in done.stdout
    facts = json.loads(numlstm("info", model, "--json").stdout)
    assert facts["config"]["layers"] == [10, 6]
    assert facts["vocab"]["symbols"] == "".join(sorted(SYMBOLS))
    assert facts["parameters"] == parameters.count(NetworkSettings(len(SYMBOLS), (10, 6)))


def test_a_missing_or_broken_file_is_one_line(numlstm: Command, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing more")
    for name in ("absent.npz", "broken.npz"):
        for command in (["gen", name], ["info", name], ["eval", name, "-"]):
            done = numlstm(*command, stdin="x")
            assert done.returncode == 1
            assert name in done.stderr
            assert done.stderr.count("\n") == 1


def test_the_root_command(numlstm: Command) -> None:
    assert numlstm("--version").stdout.strip() == f"numlstm {library.__version__}"
    shown = numlstm("--help").stdout
    for command in ("train", "gen", "eval", "info", "check"):
        assert command in shown
        assert numlstm(command, "--help").returncode == 0


def test_an_unknown_command_is_a_usage_error(numlstm: Command) -> None:
    done = numlstm("trian")
    assert done.returncode == 2
    assert "No such command 'trian'" in done.stderr


def test_public_names() -> None:
    for name in library.__all__:
        assert getattr(library, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = library.nonsense


def test_eval_by_streams_and_in_another_encoding(numlstm: Command, model: Path, tmp_path: Path) -> None:
    text = "the shore is the north\n" * 300
    (tmp_path / "t.txt").write_bytes(text.encode("utf-16"))
    whole, streams = (
        json.loads(
            numlstm("eval", model, "t.txt", "--encoding", "utf-16", "--json", "--device", "reference", *more).stdout
        )
        for more in ((), ("--streams", "4"))
    )
    assert whole["tokens"] == streams["tokens"] == len(text) - 1
    assert whole["nats_per_token"] != streams["nats_per_token"]
    assert whole["nats_per_token"] == pytest.approx(streams["nats_per_token"], abs=1e-3)

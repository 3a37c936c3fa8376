"""Check that a command behaves the same in the test process, where most tests run it, and in a subprocess."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from numlstm.backends import compilation
from numlstm.cli import COMMANDS
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.char import CharVocab
from tests.cli import in_process
from tests.cli.conftest import Command

TRAIN = ("train", "text.txt", "--layers", "4", "--batch-size", "4", "--seq-len", "16", "--device", "reference")
EXAMPLES: dict[str, tuple[str, ...]] = {
    "train": (*TRAIN, "--steps", "1", "--sample-length", "5", "--overwrite"),
    "gen": ("gen", "shakespeare", "--length", "20", "--seed", "1"),
    "models": ("models",),
    "eval": ("eval", "shakespeare", "-", "--device", "reference"),
    "score": ("score", "shakespeare", "-", "--device", "reference"),
    "look": ("look", "w.npz", "--file", "long.txt", "--cell", "3"),
    "info": ("info", "shakespeare"),
    "share": ("share", "shakespeare", "-o", "copy.npz", "--overwrite"),
    "corpus": ("corpus", "stats", "-"),
    "plot": ("plot", "absent.jsonl"),
    "check": ("check", "--precision", "half"),
    "serve": ("serve", "--port", "high"),
}

STARTED_ELSEWHERE = {"gen", "info", "corpus", "check"}  # in fast tests that need a subprocess anyway


@pytest.fixture
def model(tmp_path: Path) -> None:
    """Write a tiny network to `w.npz`, and a text long enough for `look` to `long.txt`."""
    (tmp_path / "long.txt").write_text("a cab\n" * 400, encoding="utf-8")
    vocab = CharVocab("\n abc")
    config = NetworkSettings(len(vocab), (5, 4))
    weights_file.save(
        tmp_path / "w.npz", weights_file.WeightsFile(config, vocab, parameters.initialise(config, 1), {}, None)
    )


def test_every_command_has_an_example() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.usefixtures("model", "text_file")
@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=[pytest.mark.slow] * (name in STARTED_ELSEWHERE)) for name in EXAMPLES]
)
def test_a_command_says_the_same_in_a_process_of_its_own(
    numlstm: Command, numlstm_process: Command, command: str
) -> None:
    one, other = (run(*EXAMPLES[command], stdin="It is the lark.\n") for run in (numlstm, numlstm_process))
    assert one.returncode == other.returncode
    assert one.stdout == other.stdout
    pace = re.compile(r"[\d,]+(?= characters/s)")
    assert pace.sub("", one.stderr) == pace.sub("", other.stderr)
    assert one.stdout or one.stderr


def test_a_traceback_and_a_warning_are_no_exit_codes(numlstm: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "main", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        numlstm("models")
    monkeypatch.setattr(in_process, "main", lambda: warnings.warn("old", DeprecationWarning, stacklevel=1))
    with pytest.raises(DeprecationWarning):
        numlstm("models")


def test_what_a_command_leaves_behind_is_found(numlstm: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "main", lambda: compilation.compile_listeners.append("left"))
    try:
        with pytest.raises(AssertionError, match="left this behind"):
            numlstm("models")
    finally:
        compilation.compile_listeners.clear()

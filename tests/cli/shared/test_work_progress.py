"""The messages about kernels being compiled, and no message when none is compiled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from numlstm.backends import compilation
from numlstm.cli.shared.work_progress import spinner
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.char import CharVocab
from tests.cli.conftest import Command


def compile_kernels(*names: str, problem: str = "") -> None:
    """Notify the listeners of kernels whose compilations are nested."""
    for name in names:
        for listener in compilation.compile_listeners:
            listener.begun(name)
    for name in reversed(names):
        for listener in compilation.compile_listeners:
            listener.done(name, problem)


def test_plain_lines_at_the_beginning_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with spinner("reading"):
        assert capsys.readouterr().err == ""
        compile_kernels("outer", "inner")
        assert capsys.readouterr().err == "compiling kernels for this processor (only the first time) ...\n"
        compile_kernels("another")
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err == "compiled 3 kernels in 0 s; cached for next time\n"
    assert compilation.compile_listeners == []


def test_a_reason_why_they_were_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with spinner():
        compile_kernels("one", problem="/cache: No space left on device")
    assert capsys.readouterr().err.endswith("compiled 1 kernel in 0 s; not cached: /cache: No space left on device\n")


def test_nothing_is_said_where_nothing_is_compiled(capsys: pytest.CaptureFixture[str]) -> None:
    with spinner("reading"):
        pass
    assert capsys.readouterr() == ("", "")


def test_an_error_goes_through(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with spinner():
            compile_kernels("one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert compilation.compile_listeners == []
    assert "compiled 1 kernel" in capsys.readouterr().err


_ON_A_TERMINAL = """
import time
from numlstm.backends import compilation
from numlstm.cli.shared.work_progress import spinner
with spinner("reading [bold]"):
    time.sleep(0.3)
    for listener in compilation.compile_listeners:
        listener.begun("one")
        time.sleep(0.3)
        listener.done("one", "")
    time.sleep(0.3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_live_line_on_a_terminal(environment: dict[str, str]) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_A_TERMINAL], stderr=theirs, env={**environment, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:  # how Linux reports that the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    said = shown.decode()
    places = [
        said.find(part)
        for part in (
            "reading [bold]",
            "compiling kernels for this processor (only the first time): 0 of 1 so far",
            "compiled 1 kernel in 0 s; cached for next time",
        )
    ]
    assert -1 not in places
    assert places == sorted(places)
    assert "(once) ..." not in said, "the plain line must not appear on a terminal"


@pytest.mark.slow
def test_generation_compiles_what_it_needs_once(numlstm_process: Command, tmp_path: Path) -> None:
    vocab = CharVocab("\n abc")
    config = NetworkSettings(len(vocab), (5, 4))
    weights_file.save(
        tmp_path / "w.npz", weights_file.WeightsFile(config, vocab, parameters.initialise(config, 1), {}, None)
    )
    command = ("gen", "w.npz", "--device", "cpu", "--length", "30", "--seed", "1")
    cold = numlstm_process(*command, NUMLSTM_CACHE_DIR=str(tmp_path / "cache"))
    assert cold.returncode == 0, cold.stderr
    assert re.fullmatch(
        r"compiling kernels for this processor \(only the first time\) \.\.\.\n"
        r"compiled \d+ kernels in \d+ s; cached for next time\n",
        cold.stderr,
    )
    kept = [path.name for path in (tmp_path / "cache").rglob("*-*") if path.is_file()]
    assert kept
    assert not [name for name in kept if re.search("backward|gradient|entropy|squares", name)]
    warm = numlstm_process(*command, NUMLSTM_CACHE_DIR=str(tmp_path / "cache"))
    assert warm.stderr == ""
    assert warm.stdout == cold.stdout

"""`numlstm gen -i`: interactive prompts, through a pipe and on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import numlstm as library
from tests.cli.conftest import Command
from tests.cli.gen.test_options import model  # noqa: F401
from tests.helpers.processes import hears_signals

OPTIONS = ("-i", "--device", "reference", "--length", "20", "--temperature", "1", "--seed", "3")


def test_prompts_and_settings_through_a_pipe(numlstm: Command, model: Path) -> None:  # noqa: F811
    lines = ["ab", "/length 5", r"head\n", "", "/seed 9", "/stop e", "/top-k 3", "ab", "/stop", "/temperature warm"]
    lines += ["/nonsense 3", "abX", "/top-p 7", "/ban a", "/top-k", "b", "/settings", "/help", "/quit", "never read"]
    done = numlstm("gen", model, *OPTIONS, stdin="\n".join(lines) + "\n")
    assert done.returncode == 0, done.stderr
    write = library.load(str(model), device="reference").generate
    how = {"temperature": 1.0, "seed": 3}
    expected = ["ab" + write("ab", length=20, **how), "head\n" + write("head\n", length=5, **how)]
    expected += [write("", length=5, **how), "ab" + write("ab", length=5, temperature=1, seed=9, stop="e", top_k=3)]
    expected += ["b" + write("b", length=5, temperature=1.0, seed=9, ban="a")]
    assert done.stdout == "".join(f"{text}\n" for text in expected)
    for said in (
        "/temperature is 'warm'; expected a number",
        "/nonsense is not a command; expected a setting",
        "the text has 1 character that the model does not know",
        "/top-p is 7; expected",
        "(seed 3)",
        "(seed 9)",
        "/ban ['a']",
        "/stop []",
        "Ctrl-C stops a text",
    ):
        assert said in done.stderr


def test_the_end_of_the_input_ends_it_and_seeds_are_new(numlstm: Command, model: Path) -> None:  # noqa: F811
    done = numlstm("gen", model, *OPTIONS[:-2], stdin="ab\nab\nab")
    assert done.returncode == 0, done.stderr
    seeds = [line for line in done.stderr.splitlines() if line.startswith("(seed ")]
    assert len(set(seeds)) == 3


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_on_a_terminal(model: Path, environment: dict[str, str]) -> None:  # noqa: F811
    """Ctrl-C stops an endless text, arrow up recalls the last line, Ctrl-D quits."""
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "numlstm", "gen", str(model), *OPTIONS[:3], "--length", "2000000000"]
    child = subprocess.Popen(
        hears_signals(command), stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    seen = b""

    def until(part: bytes, seconds: float = 120) -> bytes:
        nonlocal seen
        end = time.monotonic() + seconds
        while part not in seen:
            assert time.monotonic() < end, seen[-500:]
            seen += os.read(master, 1 << 16)
        before, _, seen = seen.partition(part)
        return before

    try:
        until(b"Ctrl-D quits.")
        until(b"> ")
        os.write(master, b"ab\n")
        until(b"ab")
        time.sleep(0.3)
        child.send_signal(2)
        until(b"(stopped, seed ")
        until(b"> ")
        os.write(master, b"/length 7\n")
        until(b"> ")
        os.write(master, b"/seed 5\n")
        until(b"> ")
        os.write(master, b"head\n")
        expected = library.load(str(model), device="reference").generate("head", length=7, seed=5)
        until(f"head{expected}\n(seed 5)".replace("\n", "\r\n").encode())
        until(b"> ")
        os.write(master, b"\x1b[A\n")  # arrow up
        until(f"head{expected}\n(seed 5)".replace("\n", "\r\n").encode())
        until(b"> ")
        os.write(master, b"\x04")
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
        os.close(master)


def test_bytes_that_are_no_text_end_nothing(numlstm: Command, model: Path) -> None:  # noqa: F811
    done = numlstm("gen", model, *OPTIONS, stdin=b"ab\r\n\xff\nb\n")
    assert done.returncode == 0, done.stderr
    write = library.load(str(model), device="reference").generate
    assert done.stdout == "".join(f"{each}{write(each, length=20, temperature=1.0, seed=3)}\n" for each in ("ab", "b"))
    assert "the text has 1 character that the model does not know" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_text_by_beam_ends_its_line_on_a_terminal(model: Path, environment: dict[str, str]) -> None:  # noqa: F811
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "numlstm", "gen", str(model), "--beam", "2", "--length", "4", "--ban", r"\n"]
    try:
        done = subprocess.run(command, stdout=slave, stderr=subprocess.PIPE, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr
        seen = os.read(master, 1000).decode()
    finally:
        os.close(slave)
        os.close(master)
    assert len(seen) == 4 + len("\r\n")
    assert seen.endswith("\r\n")

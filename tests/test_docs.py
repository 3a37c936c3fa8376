"""Every command in the documents runs and prints the documented output."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from numlstm.cli import app
from numlstm.text.sources.catalog import entries
from tests.helpers.documents import (
    DOCUMENTS,
    ROOT,
    TUTORIALS,
    WITH_THE_SERVER,
    Block,
    blocks,
    commands,
    is_run,
    missing_from_output,
    read,
    shipped_in,
    shortened,
)

NEEDS_SHELL = pytest.mark.skipif(
    os.name == "nt" or shutil.which("sh") is None, reason="the commands are written for a POSIX shell"
)

# Commands

WRONG_USE = typer.BadParameter.__mro__[2]  # Click's ClickException; some versions of Typer vendor Click


def refused(arguments: list[str]) -> str:
    """Parse arguments without running the command; return the usage error, or "" if there is none."""
    command: Any = typer.main.get_command(app)
    name = "numlstm"
    context = None
    while True:
        try:
            context = command.make_context(name, list(arguments), parent=context)
        except typer.Exit:  # --help, --version
            return ""
        except WRONG_USE as error:
            return error.format_message()
        kept = "_protected_args" if hasattr(context, "_protected_args") else "protected_args"  # Click before 8.2
        rest = [*getattr(context, kept), *context.args]
        if not hasattr(command, "resolve_command"):
            return ""
        try:
            name, command, arguments = command.resolve_command(context, rest)
        except WRONG_USE as error:
            return error.format_message()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_command_line_takes_every_command(name: str) -> None:
    found = blocks(read(name))
    assert 2 * len(found) == read(name).count("\n```")
    written = [command for block in found if block.language == "sh" for command in commands(block)]
    assert not [(command, refused(command)) for command in written if refused(command)]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_downloaded_has_a_name(name: str) -> None:
    for block in blocks(read(name)):
        if block.mark == "not run: downloads":
            for command in commands(block):
                names = command[2:] if command[:2] == ["corpus", "get"] else command[1:2]
                assert {*names} <= {*entries()}, f"line {block.line}: {names}"


@pytest.mark.parametrize("wrong", ["gen w.npz --temprature 1", "gen", "jen w.npz", "gen w.npz --length long"])
def test_a_wrong_command_is_refused(wrong: str) -> None:
    assert refused(wrong.split())


class Reader:
    """Runs the commands of documents as a reader would, in a new folder that holds only some texts of their own.

    Later documents run in the same folder, so a block that has already run is not run again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.printed = folder / "work", ""
        self.done: dict[str, str] = {}
        programs, home = folder / "programs", folder / "home"
        for each in (self.folder, programs, home):
            each.mkdir()
        own_texts(self.folder)
        program = programs / "numlstm"
        words = (sys.executable, "-W", "error", str(ROOT / "tests" / "helpers" / "documents.py"))
        program.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in words) + ' "$@"\n')
        program.chmod(0o755)
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
        self.environment = {
            **os.environ,
            **nowhere,
            "PATH": os.pathsep.join((str(programs), os.environ["PATH"])),
            "HOME": str(home),
            "NUMLSTM_CACHE_DIR": str(home / "cache"),
            "OPENBLAS_NUM_THREADS": "1",  # the networks are so small that more threads only slow them down
            "NO_COLOR": "1",
            "COLUMNS": "120",
            "PYTHONIOENCODING": "utf-8",
        }

    def read(self, block: Block) -> None:
        """Run a block's commands or program, or compare the block with the last output; fail if either goes wrong."""
        if block.mark == "prints":
            wrong = missing_from_output(block.text, self.printed)
            assert not wrong, f"line {block.line}: expected but not printed: {wrong}\nprinted:\n{self.printed}"
        elif is_run(block):
            self.run(block, ["sh", "-e", "-c", block.text])
        elif block.language == "python" and not block.mark.startswith(("from ", "not run:", WITH_THE_SERVER)):
            self.run(block, [sys.executable, "-W", "error", "-c", block.text])

    def run(self, block: Block, words: list[str]) -> None:
        if block.text not in self.done:
            done = subprocess.run(
                words, cwd=self.folder, env=self.environment, capture_output=True, timeout=300, stdin=subprocess.DEVNULL
            )
            said = done.stderr.decode(errors="replace")
            assert done.returncode == 0, f"line {block.line}: {block.text}\n{said}"
            self.done[block.text] = done.stdout.decode()
        self.printed = self.done[block.text]


def own_texts(folder: Path) -> None:
    """Write the reader's own texts: letters, a diary, exported chats, and the text that the Korean tutorial copies."""
    shutil.copy(ROOT / "tests" / "hangul.txt", folder)
    days = [f"Day {n}. The {thing} was {n * 7} steps away, and nobody minded.\n" for n in range(1, 160) for thing in
            ("bridge", "harbour", "baker", "lighthouse")]  # fmt: skip
    (folder / "letters.txt").write_text("".join(days), "utf-8")
    (folder / "diary").mkdir()
    for n in range(3):
        (folder / "diary" / f"{n}.txt").write_text("".join(days[n::3]), "utf-8")
    (folder / "chats").mkdir()
    said = (("Anna", "The ferry is late again."), ("Jonas", "It always was."), ("Anna", "See you on the quay."))
    chat = [f"[12.03.24, 18:{n:02}:11] {name}: {words}\n" for n, (name, words) in enumerate(said)]
    (folder / "chats" / "chat.txt").write_text("".join(chat), "utf-8")
    (folder / "kakao.txt").write_text("[안나] [오후 3:12] 배가 또 늦네.\n[요나] [오후 3:13] 늘 그랬지.\n", "utf-8")


@NEEDS_SHELL
@pytest.mark.parametrize(
    "names",
    [
        ("README.md",),
        *(
            pytest.param(names, marks=pytest.mark.slow)
            for names in (TUTORIALS, *((name,) for name in DOCUMENTS if name not in (*TUTORIALS, "README.md")))
        ),
    ],
    ids=lambda names: names[0],
)
def test_every_command_runs(names: tuple[str, ...], tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for name in names:
        if "numlstm plot" in read(name):
            pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `plot`)")
        for block in blocks(read(name)):
            if name.startswith("docs/") or block.language != "python":  # the READMEs' has a test below
                reader.read(block)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_a_readme_s_python_runs(name: str, tmp_path: Path) -> None:
    (block,) = (block for block in blocks(read(name)) if block.language == "python")
    Reader(tmp_path).read(block)


@NEEDS_SHELL
@pytest.mark.parametrize(
    "untrue",
    [
        "```sh\nnumlstm gen nothing.npz\n```\n",
        "```sh\necho one\n```\n<!-- prints -->\n```\ntwo\n```\n",
        "```python\nimport numlstm.nothing\n```\n",
    ],
)
def test_what_is_untrue_is_found(untrue: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    *before, last = blocks(untrue)
    for block in before:
        reader.read(block)
    with pytest.raises(AssertionError, match="line "):
        reader.read(last)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_text_of_a_shipped_model_is_compared(name: str) -> None:
    """Such text is the same on every machine, so a document that shows it must mark it for comparison."""
    found = blocks(read(name))
    for block, after in itertools.pairwise(found):
        if is_run(block) and after.language == "" and shipped_in(block):
            assert after.mark == "prints", f"line {after.line} shows generated text without `<!-- prints -->`"


# The harness itself


def test_commands_are_found() -> None:
    text = (
        "numlstm train a.txt \\\n  --steps 5 && numlstm gen w.npz > out.txt\nls | numlstm train -\necho numlstm gen\n"
    )
    expected = [["train", "a.txt", "--steps", "5"], ["gen", "w.npz"], ["train", "-"]]
    assert list(commands(Block("", "sh", text, 1))) == expected


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("gen w.npz", "gen w.npz --device reference"),
        ("gen w.npz --device cpu", "gen w.npz --device cpu"),
        ("info w.npz", "info w.npz"),
        ("train a.txt --epochs 9 --layers 256,256,128 -o b.npz",
         "train a.txt -o b.npz --steps 3 --layers 8,8,8 --sample-length 20 --device reference"),
        ("train --resume b.npz --epochs=20", "train --resume b.npz --steps 6 --sample-length 20 --device reference"),
    ],
)  # fmt: skip
def test_commands_are_shortened(long: str, short: str) -> None:
    assert shortened(long.split()) == short.split()


def test_output_is_compared_line_by_line() -> None:
    assert not missing_from_output("a\nb\n", "a\nb")
    assert not missing_from_output("a\n…\n", "a\nb\nc\n")
    assert missing_from_output("a\nc\n", "a\nb\n") == "c"
    assert missing_from_output("a\nb\nc\n", "a\nb\n") == "c"
    assert missing_from_output("a\n", "a\nb\n")

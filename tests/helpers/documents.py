"""Parse Markdown documents for the tests: fenced blocks, their marks, and the commands in them.

A mark is an HTML comment on the line before a block or a table, invisible to readers:

    <!-- not run: WHY -->     the commands are only parsed, not run (they download or install)
    <!-- main -->             likewise, as for `<!-- tests -->`; `.ci/run` runs these for real
    <!-- with the server -->  tests/serve/test_docs.py runs the block beside a running server
    <!-- prints -->           the block is the output of the commands before it; a last line … stands for the rest
    <!-- from PATH -->        the block is quoted from that file; a line ... stands for lines left out
    <!-- lines of PATH -->    code in the table's last column quotes whole lines of that file, or of several

Run as a program, it is `numlstm` with arguments changed by `shortened`. The tests install it as the `numlstm` command.
"""

from __future__ import annotations

import itertools
import math
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from numlstm.settings.commands import train_settings
from numlstm.settings.declaration import Setting, declared
from numlstm.settings.sampling import SamplingSettings

# To make commands take seconds, the tests use networks of a few units, a few steps, and NumPy instead of kernels that
# have to be compiled. Other options stay as documented.
_STEPS, _STEPS_RESUMED, _UNITS = 3, 6, "8"
_HOW_LONG = ("--epochs", "--steps", "--max-time", "--sample-length", "--steps-per-epoch")
_ON_A_DEVICE = ("train", "gen", "eval", "score")


WITH_THE_SERVER = "with the server"
ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")]
)
TUTORIALS = ("docs/tutorial.md", "docs/tutorial.ko.md")


def read(name: str) -> str:
    """Return the text of a file, by its path in the project."""
    return (ROOT / name).read_text("utf-8")


class Block(NamedTuple):
    """A fenced block: the mark before it, its language, its text, and the number of its first line."""

    mark: str
    language: str
    text: str
    line: int


FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def blocks(document: str) -> list[Block]:
    """Return the fenced blocks of a document."""
    return [
        Block(found["mark"] or "", found["language"], found["text"], document.count("\n", 0, found.start("text")) + 1)
        for found in FENCE.finditer(document)
    ]


def is_run(block: Block) -> bool:
    """Return True if the tests run this block of commands."""
    return block.language == "sh" and not block.mark.startswith(("not run:", "main", "tests", WITH_THE_SERVER))


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the arguments of every `numlstm` command in a block: of each line, and of each part of a chain or pipe."""
    lexer = shlex.shlex(block.text.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&"):
            if words[:1] == ["numlstm"]:
                yield words[1:]
            words = [] if set(word) & set(";|&") else [""]  # a file name follows < or >
        else:
            words.append(word)


def shipped_in(block: Block) -> bool:
    """Return True if a command generates from a shipped model with a seed: the same text on every machine."""
    return any(
        command[:1] == ["gen"] and "--seed" in command and not command[1].endswith(".npz")
        for command in commands(block)
    )


def shortened(arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments as the tests run it."""
    command, *rest = arguments or [""]
    if command == "train" and rest and (not rest[0].startswith("-") or "--resume" in rest):
        layers = _value(rest, "--layers") or "1,1"
        for option in (*_HOW_LONG, "--layers"):
            rest = _without(rest, option)
        if "--resume" in rest:
            rest += ["--steps", str(_STEPS_RESUMED)]
        else:
            rest += ["--steps", str(_STEPS), "--layers", ",".join(_UNITS for _ in layers.split(","))]
        rest += ["--sample-length", "20"]
    if command in _ON_A_DEVICE and rest and not {"--device", "--help", "-h"} & set(rest):
        rest += ["--device", "reference"]
    return [command, *rest] if command else []


def _value(arguments: Sequence[str], option: str) -> str | None:
    for n, word in enumerate(arguments):
        if word == option:
            return arguments[n + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _without(arguments: Sequence[str], option: str) -> list[str]:
    kept, skip = [], False
    for word in arguments:
        if not skip and word != option and not word.startswith(f"{option}="):
            kept.append(word)
        skip = word == option and not skip
    return kept


def missing_from_output(expected: str, printed: str) -> str:
    """Return the first expected line that was not printed, or ""."""
    wanted, found = expected.rstrip("\n").split("\n"), printed.rstrip("\n").split("\n")
    if wanted[-1] == "…":
        wanted.pop()
    elif len(wanted) < len(found):
        return f"(the end, before {found[len(wanted)]!r})"
    return next((line for line, real in zip(wanted, [*found, *[None] * len(wanted)]) if line != real), "")  # noqa: B905


def missing_from_source(quoted: str, source: str) -> str:
    """Return the first quoted line that is not at its place in the source, or "".

    Quoted lines must be consecutive in the source, with any indentation, except across a line `...`.
    """
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    place, free = 0, True
    for line in (line.strip() for line in quoted.splitlines() if line.strip()):
        if line == "...":
            free = True
            continue
        end = len(lines) if free else place + 1
        if line not in lines[place:end]:
            return line
        place = lines.index(line, place) + 1
        free = False
    return ""


_TABLE = re.compile(r"^<!-- lines of (?P<path>[^>]+) -->\n(?P<rows>(?:\|.*\n)+)", re.MULTILINE)


def quoted_lines(document: str) -> Iterator[tuple[str, str]]:
    """Yield the path and each quoted line from the last column of tables marked `lines of PATH`."""
    for table in _TABLE.finditer(document):
        for row in table["rows"].splitlines()[2:]:
            last = row.rstrip("|").rpartition(" | ")[2]
            for code in re.findall(r"`([^`]+)`", last):
                yield table["path"], code


def training_tables() -> str:
    """Return the options of `numlstm train` for `docs/options.md`: a heading and a table for each group."""
    groups = itertools.groupby(train_settings(), lambda each: each.group)
    return "\n".join(f"### {group}\n\n{_table(settings)}" for group, settings in groups)


def sampling_table() -> str:
    """Return the sampling options of `numlstm gen` as a table for `docs/options.md`."""
    return _table(declared(SamplingSettings))


def _table(settings: Iterable[Setting]) -> str:
    rows = ["| option | what it does | values | default |", "|---|---|---|---|"]
    for each in settings:
        names = [each.short, "--" + each.name.replace("_", "-")] if each.short else ["--" + each.name.replace("_", "-")]
        cells = [", ".join(f"`{name}`" for name in names), _plain(each.help), _values(each), _plain(_default(each))]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _plain(text: str) -> str:
    """Escape text for a Markdown table cell."""
    return re.sub(r"[<>|*_]", lambda sign: f"&#{ord(sign[0])};", text)


def _default(setting: Setting) -> str:
    return "off" if setting.kind == "flag" else setting.default_in_words or "none"


_NO_LIMIT = 2**31 - 1  # the default maximum of an integer setting; a seed's is larger


def _values(setting: Setting) -> str:
    """Return the allowed values of a setting: its choices or its range."""
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    low, high = setting.least, setting.most
    if setting.kind == "sizes":
        return f"1 to 64 sizes, each {low:,.0f} to {high:,.0f}"
    if setting.kind == "int":
        return f"{low:,.0f} or more" if high >= _NO_LIMIT else f"{low:,.0f} to {high:,.0f}"
    if setting.kind == "float" and math.isinf(high):
        return f"above {low:g}" if setting.above else f"{low:g} or more"
    if setting.kind == "float":
        low_end, high_end = (
            f"above {low:g}" if setting.above else f"{low:g}",
            f"below {high:g}" if setting.below else "",
        )
        return f"{low_end} to {high_end or f'{high:g}'}"
    return {"flag": "", "texts": "text, several times"}.get(setting.kind, "text")


TABLES = {"settings": training_tables, "sampling settings": sampling_table}


def with_settings(document: str) -> str:
    """Return a document with the tables of options between their marks updated."""
    for name, table in TABLES.items():
        before, mark, rest = document.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        document = f"{before}{mark}\n{table()}\n{end}{after}" if mark else document
    return document


def is_line_of(code: str, source: str) -> bool:
    """Return True if code is a whole line of the source, apart from indentation and a trailing comment."""
    return any(line.strip() == code or line.strip().startswith(f"{code}  # ") for line in source.splitlines())


if __name__ == "__main__":
    from numlstm.cli import main

    sys.argv[1:] = shortened(sys.argv[1:])
    main()

"""The documents quote real code, their links resolve, and their pictures are current and readable on any page."""

from __future__ import annotations

import collections
import importlib.util
import itertools
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import numlstm
from numlstm.network import weights_file
from tests.helpers.documents import (
    DOCUMENTS,
    ROOT,
    TABLES,
    TUTORIALS,
    blocks,
    is_line_of,
    is_run,
    missing_from_source,
    quoted_lines,
    read,
    with_settings,
)
from tests.test_imports import FILES, MAY_IMPORT, imports, room_of

PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.svg"))

# Quotations


@pytest.mark.parametrize("name", DOCUMENTS)
def test_quoted_code_is_there(name: str) -> None:
    for block in blocks(read(name)):
        if block.mark.startswith("from "):
            wrong = missing_from_source(block.text, read(block.mark.removeprefix("from ")))
            assert not wrong, f"line {block.line} and following: not in the quoted file: {wrong}"
    for paths, code in quoted_lines(read(name)):
        assert any(is_line_of(code, read(path)) for path in paths.split()), f"{paths}: no line reads {code}"


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorials_quote_the_equations(name: str) -> None:
    assert len(list(quoted_lines(read(name)))) >= 8


def test_a_wrong_quotation_is_found() -> None:
    source = "def f():\n    a = 1  # one\n    b = 2\n    c = 3\n"
    assert not missing_from_source("a = 1  # one\nb = 2\n", source)
    assert not missing_from_source("a = 1  # one\n...\nc = 3\n", source)
    assert missing_from_source("a = 1  # one\nc = 3\n", source) == "c = 3"
    assert missing_from_source("b = 3\n", source) == "b = 3"
    assert is_line_of("a = 1", source)
    assert not is_line_of("a = ", source)
    table = "<!-- lines of x.py -->\n| so | line |\n|---|---|\n| $a$ | `a = 1`<br>`b = 2` |\n"
    assert list(quoted_lines(table)) == [("x.py", "a = 1"), ("x.py", "b = 2")]


def test_the_tables_of_options_are_those_of_the_declarations() -> None:
    text = read("docs/options.md")
    assert all(text.count(f"<!-- {end}{name} -->") == 1 for name in TABLES for end in ("", "end of "))
    assert with_settings(text) == text, "run: python -m tests.renew_docs"


def test_an_old_table_is_found() -> None:
    old = "<!-- sampling settings -->\n| option |\n<!-- end of sampling settings -->"
    assert "| `--temperature` |" in with_settings(old)
    assert with_settings(with_settings(old)) == with_settings(old)


# Links and pictures


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    text = re.sub(r"```.*?```", "", read(name), flags=re.DOTALL)
    here = (ROOT / name).parent
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if not (here / link.partition("#")[0]).exists()]
    within = [link.partition("#") for link in links if "#" in link]
    assert not [
        (path, anchor)
        for path, _, anchor in within
        if anchor not in anchors(((here / path) if path else ROOT / name).read_text("utf-8"))
    ]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("docs/tutorial.md", ("tutorial.ko.md", "../README.md")),
        ("docs/tutorial.ko.md", ("tutorial.md", "../README.ko.md")),
        ("README.ko.md", ("README.md", "docs/tutorial.ko.md")),
    ],
)
def test_documents_link_to_each_other(name: str, others: tuple[str, ...]) -> None:
    assert not [other for other in others if f"]({other})" not in read(name)]


def test_the_tutorials_do_not_drift_apart() -> None:
    english, korean = map(read, TUTORIALS)
    chapters = [re.findall(r"^## (\d+)\.", text, re.MULTILINE) for text in (english, korean)]
    assert chapters[0] == chapters[1] != []
    typed = [{block.text for block in blocks(text) if is_run(block)} for text in (english, korean)]
    assert not typed[0] - typed[1], "commands missing from the Korean tutorial"
    quoted = [list(quoted_lines(text)) for text in (english, korean)]
    assert quoted[0] == quoted[1]


def test_the_readmes_set_up_in_the_same_way() -> None:
    english, korean = (
        {block.mark: block.text for block in blocks(read(name)) if block.mark in ("main", "tests")}
        for name in ("README.md", "README.ko.md")
    )
    assert english == korean
    assert set(english) == {"main", "tests"}


def test_every_picture_is_shown_and_can_be_read_on_any_page() -> None:
    shown = "".join(map(read, DOCUMENTS))
    assert PICTURES
    for picture in PICTURES:
        drawn = ElementTree.parse(picture).getroot().iter()
        ground = next(element for element in drawn if element.tag.endswith(("}path", "}rect")))
        assert re.fullmatch(r"(fill: )?#\w{6}", ground.get("style") or ground.get("fill") or ""), picture.name
        assert f"pictures/{picture.name})" in shown, picture.name
        assert picture.stat().st_size < 150_000, picture.name


def test_the_pictured_distribution_is_the_shipped_model_s() -> None:
    told = json.loads((ROOT / "docs" / "pictures" / "next.json").read_text("utf-8"))
    model = numlstm.load(told["model"], device="reference")
    ids = np.asarray(model.vocab.encode(told["prompt"]))[:, None]
    last = model.logits(ids)[0][-1].reshape(-1).astype(np.float64)
    shares = np.exp(last - last.max())
    shares /= shares.sum()
    named = [int(model.vocab.encode(each["token"])[0]) for each in told["tokens"]]
    assert sorted(named) == list(range(len(shares)))
    np.testing.assert_allclose(np.exp([each["logprob"] for each in told["tokens"]]), shares[named], atol=1e-5)


@pytest.mark.parametrize("name", TUTORIALS)
def test_the_loss_told_of_the_shipped_model_is_its_own(name: str) -> None:
    loss = weights_file.load("shakespeare").summary["evaluated"]["carried"]
    told = re.search(r"Tiny Shakespeare.*?1\.52.*?(\d\.\d\d)", read(name), re.DOTALL)
    assert told is not None
    assert told[1] == f"{loss:.2f}"


@pytest.mark.parametrize("name", TUTORIALS)
def test_the_scale_of_losses_is_that_of_the_tales(name: str) -> None:
    """Checks two rows: a uniform guess over the characters, and one by character frequency."""
    text = (ROOT / "corpus" / "tales.txt").read_text("utf-8")
    first, last = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
    counts = collections.Counter(first)
    frequent = -sum(math.log(counts[character] / len(first)) for character in last) / len(last)
    for loss in (math.log(len(set(text))), frequent):
        assert re.search(rf"^\| .* \| {loss:.2f} \|$", read(name), re.MULTILINE), f"{loss:.4f}"


# The rooms


@pytest.fixture(scope="module")
def rooms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rooms", ROOT / "docs" / "pictures" / "rooms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_rooms_is_that_of_the_source(rooms: ModuleType) -> None:
    assert rooms.drawn(rooms.arrows()) == read("docs/pictures/rooms.svg"), "run: python docs/pictures/rooms.py"


def test_the_pictured_arrows_are_the_imports(rooms: ModuleType) -> None:
    found: dict[str, set[str]] = {room: set() for room in rooms.ROOMS}
    for path in FILES:
        names = [name.split(".") for name in imports(path, read(f"numlstm/{path}"))]
        if room_of(path) in found:
            found[room_of(path)] |= {parts[1] for parts in names if parts[0] == "numlstm"} - {room_of(path)}
    assert rooms.arrows() == {room: ends & {*found} for room, ends in found.items()}
    assert {*rooms.ROOMS} == {room_of(path) for path in FILES} - {"__init__", "__main__", "_version"}


def test_only_arrows_that_say_something_are_drawn(rooms: ModuleType) -> None:
    assert rooms.reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_the_table_of_rooms_says_what_may_import_what() -> None:
    table = read("docs/architecture.md").partition("| room | what it holds |")[2].partition("\n\n")[0]
    rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.splitlines()[2:]]
    below: set[str] = set()
    for row in reversed(rows):
        for room in row:
            assert MAY_IMPORT[room] & {*itertools.chain(*rows)} == below, room
        below |= {*row}
    assert below == {room_of(path) for path in FILES} - {"__init__", "__main__", "_version"}


@pytest.mark.slow
def test_the_script_draws_its_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `plot`)")
    script = ROOT / "docs" / "pictures" / "make.py"
    words = [sys.executable, str(script), "--language", "en", "--folder", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    drawn = {path.name for path in tmp_path.glob("*.svg")}
    assert drawn
    assert drawn <= {path.name for path in PICTURES}
    assert {name.replace(".svg", ".ko.svg") for name in drawn} <= {path.name for path in PICTURES}

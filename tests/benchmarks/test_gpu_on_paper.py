"""The GPU estimates count all the work of a step, and `docs/gpu.md` has the script's current figures."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import gpu_on_paper as paper
from benchmarks.shapes import Shape, parameters
from benchmarks.train import SHAPES

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "gpu.md").read_text("utf-8")
H100, LAPTOP = paper.CARDS


@pytest.fixture(autouse=True)
def own_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variable that forces a path."""
    monkeypatch.delenv(paper.path_choice.VARIABLE, raising=False)


@pytest.mark.parametrize("shape", [*SHAPES, Shape((3, 5, 2), 4, 6, 7)], ids=lambda shape: shape.name)
def test_all_useful_work_of_a_step_is_counted(shape: Shape) -> None:
    flop = sum(work.flop for work in paper.works(shape))
    assert flop == shape.flop_per_character * shape.batch_size * shape.seq_len
    assert paper.parameters(shape) == sum(values.size for values in parameters(shape).values())


@pytest.mark.parametrize("card", paper.CARDS, ids=lambda card: card.name)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_nothing_is_expected_beyond_the_limit(shape: Shape, card: paper.Card) -> None:
    for products in ("float32", "tf32"):
        for work in paper.works(shape):
            assert paper.expected(work, card, products) > paper.limit(work, card, products), work.name
        found = paper.step(shape, card, products)
        assert found.expected < found.limit
    assert paper.step(shape, H100).expected > paper.step(shape, LAPTOP).expected


def test_the_path_decides_how_many_launches_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = SHAPES[0]
    monkeypatch.setenv(paper.path_choice.VARIABLE, "resident")
    few = paper.step(shape, H100)
    monkeypatch.setenv(paper.path_choice.VARIABLE, "steps")
    many = paper.step(shape, H100)
    assert many.launches - few.launches == 2 * 2 * shape.seq_len - 2
    assert (few.paths, many.paths) == ("resident", "steps")
    assert many.host > few.host


def test_a_card_with_twice_the_memory_bandwidth_moves_in_half_the_time() -> None:
    twice = dataclasses.replace(H100, memory=2 * H100.memory)
    work = next(work for work in paper.works(SHAPES[4]) if work.name.startswith("norm"))
    assert paper.limit(work, twice, "float32") == paper.limit(work, H100, "float32") / 2


@pytest.mark.parametrize("name", paper.tables())
def test_the_document_has_the_tables_of_the_script(name: str) -> None:
    found = re.search(rf"<!-- on paper: {re.escape(name)} -->\n((?:\|[^\n]*\n)+)", DOCUMENT)
    assert found, "docs/gpu.md has no table with this mark"
    assert found[1].rstrip("\n") == paper.tables()[name], "run python -m benchmarks.gpu_on_paper --write"


def test_an_old_table_is_renewed() -> None:
    name = f"steps on {LAPTOP.name}"
    (line,) = [line for line in paper.tables()[name].splitlines() if line.startswith("| 3x512")]
    old = DOCUMENT.replace(line + "\n", "| old |\n")
    assert old != DOCUMENT
    assert paper.renewed(old) == paper.renewed(DOCUMENT) == DOCUMENT


def test_the_tables_are_printed_or_written(
    run_script: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    printed = run_script(paper)
    assert printed.count("<!-- on paper: ") == len(paper.tables())
    path = tmp_path / "gpu.md"
    path.write_text(f"<!-- on paper: steps on {LAPTOP.name} -->\n| old |\n\nand so on\n", "utf-8")
    monkeypatch.setattr(paper, "DOCUMENT", path)
    assert run_script(paper, "--write") == ""
    assert f"{paper.tables()[f'steps on {LAPTOP.name}']}\n\nand so on\n" in path.read_text("utf-8")

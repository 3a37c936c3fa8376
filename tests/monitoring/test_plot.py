"""The plot shows each run's losses at the right places, with a legend of the runs."""

from __future__ import annotations

import dataclasses
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from numlstm.errors import ConfigError, LogError, StorageError
from numlstm.monitoring import curves, plot

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `plot`)")


def write(path: Path, losses: list[float], val_losses: dict[int, float], every: int = 1, level: str = "char") -> Path:
    """Write a log with an event of 10 tokens every `every` steps; a step takes half a second."""
    events: list[dict[str, Any]] = [{"event": "start", "step": 0, "corpus": {"level": level}}]
    for n, loss in enumerate(losses, 1):
        step = n * every
        events.append({"event": "step", "step": step, "loss": loss, "tokens": 10, "run_seconds": step / 2})
        if step in val_losses:
            told = {"val_loss": val_losses[step], "run_seconds": step / 2 + 1}
            events.append({"event": "epoch", "step": step, **told})
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_points_lie_where_the_axis_says(tmp_path: Path) -> None:
    log = write(tmp_path / "run.jsonl", [3.0, 2.0], {4: 2.5}, every=2)
    expected = {
        "steps": ([(2, 3.0), (4, 2.0)], [(4, 2.5)]),
        "seconds": ([(1.0, 3.0), (2.0, 2.0)], [(3.0, 2.5)]),
        "tokens": ([(20, 3.0), (40, 2.0)], [(40, 2.5)]),
    }
    for axis, (training, validation) in expected.items():
        (run,) = curves.load([log], axis)
        assert (run.training, run.validation) == (training, validation)
        assert run.best == (2.5, 4)
    with pytest.raises(LogError, match="--x is 'miles'"):
        curves.load([log], "miles")


def test_labels_tell_logs_apart() -> None:
    assert curves.labels(["runs/a.jsonl", "b.jsonl"]) == ["a", "b"]
    assert curves.labels(["x/run.jsonl", "y/run.jsonl", "z.jsonl"]) == ["x/run", "y/run", "z"]
    assert curves.labels(["a.jsonl", "a.jsonl"]) == ["a", "a"]
    assert curves.labels(["lr0.1", "lr0.01", "lr1.jsonl"]) == ["lr0.1", "lr0.01", "lr1"]
    assert curves.labels(["/"]) == ["/"]


def test_smoothing_keeps_a_line_level_and_quiets_noise() -> None:
    level = [(float(n), 2.0) for n in range(100)]
    assert curves.smoothed(level) == level
    noisy = [(float(n), 2.0 + (-1) ** n) for n in range(1000)]
    assert all(abs(y - 2.0) < 0.2 for _, y in curves.smoothed(noisy)[50:])
    assert curves.smoothed([(1.0, 5.0)]) == [(1.0, 5.0)]


def test_the_lines_drawn_are_the_losses(tmp_path: Path) -> None:
    logs = [write(tmp_path / f"{n}.jsonl", [4.0, 3.0, 2.0 + n], {3: 2.5 + n}) for n in (0, 1)]
    figure = plot._figure(curves.load(logs), "steps")
    (panel,) = figure.axes
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in panel.lines]
    assert drawn == [
        ([1, 2, 3], [4.0, 3.0, 2.0]),
        ([3], [2.5]),
        ([1, 2, 3], [4.0, 3.0, 3.0]),
        ([3], [3.5]),
    ]
    colours = [line.get_color() for line in panel.lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert panel.get_ylabel() == "loss, nats per character"
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["0: best 2.5000 at step 3", "1: best 3.5000 at step 3"]


def test_the_fall_at_the_beginning_does_not_flatten_the_rest(tmp_path: Path) -> None:
    log = write(tmp_path / "run.jsonl", [9.0] * 10 + [2.0 - n / 1000 for n in range(990)], {1000: 1.2})
    (panel,) = plot._figure(curves.load([log]), "steps").axes
    low, high = panel.get_ylim()
    assert 0.8 < low < 1.01
    assert 1.9 < high < 4, "the smoothed curve falls slower, but the start at 9 must not set the scale"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".PDF"])
def test_a_picture_of_each_kind(tmp_path: Path, suffix: str) -> None:
    log = write(tmp_path / "a run.jsonl", [3.0, 2.0, 1.0], {3: 1.5}, level="word")
    path = tmp_path / "new" / f"picture{suffix}"
    plot.draw(curves.load([log, log]), path)
    head = path.read_bytes()[:8]
    assert head.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".PDF": b"%PDF"}[suffix])
    if suffix == ".svg":
        words = " ".join(ElementTree.parse(path).getroot().itertext())
        assert "nats per token" in words
        assert "a run: best 1.5000 at step 3" in words


def test_runs_without_validation_or_of_one_step_can_be_drawn(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", [2.0], {})
    plot.draw(curves.load([one]), tmp_path / "one.png")
    empty = write(tmp_path / "none.jsonl", [], {})
    with pytest.raises(LogError, match="has no steps yet"):
        curves.load([empty])


def test_events_that_lack_what_they_should_tell_are_left_out(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    events: list[dict[str, Any]] = [
        {"event": "start", "step": 0},
        {"event": "step", "step": 1},
        {"event": "step", "step": 2, "loss": 3.0},
        {"event": "step", "step": 3, "loss": "?", "tokens": "?", "run_seconds": []},
        {"event": "step", "step": 4, "loss": 2.0, "tokens": 10, "run_seconds": 8},
        {"event": "epoch", "step": 4},
        {"event": "epoch", "step": 5, "val_loss": float("inf")},
    ]
    log.write_text("".join(json.dumps(event) + "\n" for event in events) + "[" * 10**6)
    (run,) = curves.load([log])
    assert (run.training, run.validation, run.best, run.token) == ([(2, 3.0), (4, 2.0)], [], None, "token")
    assert [x for x, _ in curves.load([log], "tokens")[0].training] == [0, 10]
    assert [x for x, _ in curves.load([log], "seconds")[0].training] == [0, 8]


def test_any_name_of_a_log_can_be_drawn(tmp_path: Path) -> None:
    log = write(tmp_path / "a$^$b.jsonl", [2.0, 1.0], {2: 1.5})
    (run,) = curves.load([log])
    plot.draw([run], tmp_path / "one.svg")
    assert "a$^$b: best 1.5" in " ".join(ElementTree.parse(tmp_path / "one.svg").getroot().itertext())
    plot.draw([dataclasses.replace(run, label="caf\udce9")], tmp_path / "two.png")


def test_what_is_no_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        plot.check_picture("run.jsonl")
    log = write(tmp_path / "a.jsonl", [2.0], {})
    with pytest.raises(StorageError, match="cannot be written"):
        plot.draw(curves.load([log]), log / "picture.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'numlstm\[plot\]'"):
        plot.check_picture("run.png")

"""The progress shown while a long text is read: on stderr only, and nothing if reading is quick."""

from __future__ import annotations

import signal

import pytest

from numlstm.cli.shared import reading_progress as module
from numlstm.cli.shared.reading_progress import reading_progress


def test_a_quick_one_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with reading_progress() as report:
        for done in range(100):
            report("encoding", done, 100)
    assert capsys.readouterr() == ("", "")


def test_a_line_now_and_then_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with reading_progress() as report:
        for second in range(0, 60, 5):
            now[0] = float(second)
            report("encoding", second * 1_000_000, 60_000_000)
        now[0] += 20
        report("finding words", 5_000_000, 0)
    out, errors = capsys.readouterr()
    assert out == ""
    lines = ["encoding: 33 % of 60 MB", "encoding: 66 % of 60 MB", "finding words: 5 MB"]
    assert errors.splitlines() == lines


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(module, "_PATIENCE", -1.0)
    with reading_progress() as report:
        report("finding symbols", 2_000_000, 4_000_000)
        report("encoding", 3_000_000, 4_000_000)
    out, errors = capsys.readouterr()
    assert out == ""
    assert "encoding" in errors
    assert "3.0/4.0 MB" in errors


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signal.raise_signal")
def test_sigterm_ends_it_in_order() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), reading_progress():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before

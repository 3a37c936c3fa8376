"""Parsing of durations, save intervals and lists of epochs."""

from __future__ import annotations

import pytest

from numlstm.errors import ConfigError
from numlstm.settings.amounts import Every, parse_duration, parse_epochs, parse_every


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("0.5s", 0.5), (" 1.5 m ", 90)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration("--max-time", text) == seconds
    assert parse_every("--save-every", text) == Every(seconds=seconds)


def test_steps_are_a_distance_between_saves_but_no_duration() -> None:
    assert parse_every("--save-every", "50steps") == Every(steps=50)
    assert parse_every("--save-every", "1 step") == Every(steps=1)
    for text in ("", "5", "s", "0s", "0steps", "-5s", "1e3s", "5 d", "1.5steps", "infs", "nanm"):
        with pytest.raises(ConfigError, match=r"--save-every is .*50steps"):
            parse_every("--save-every", text)
    for text in ("50steps", "", "5", "0m"):
        with pytest.raises(ConfigError, match=r"--max-time is .*15m"):
            parse_duration("--max-time", text)


def test_epochs() -> None:
    assert parse_epochs("--snapshot-epochs", "20, 1,0,5,1") == [0, 1, 5, 20]
    for text in ("", "1,", "-1", "1.5", "x"):
        with pytest.raises(ConfigError, match="--snapshot-epochs"):
            parse_epochs("--snapshot-epochs", text)

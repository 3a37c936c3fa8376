"""Reading a growing file by whole lines, each once, from any offset."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numlstm.serve.jobs.log_tail import Line, Tail


def rest(tail: Tail, size: int = 7) -> list[Line]:
    found = []
    while lines := tail.lines(size):
        found += lines
    return found


def test_a_torn_line_waits(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    assert tail.lines() == [], "the file does not exist yet"
    for added, found in ((b"one\ntw", [(4, b"one\n")]), (b"o", []), (b"\nthree\n", [(8, b"two\n"), (14, b"three\n")])):
        with open(tmp_path / "log", "ab") as file:
            file.write(added)
        assert rest(tail) == found
    assert rest(tail) == []


LINES = st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"") + b"\n")


@given(st.lists(LINES, max_size=6), st.sampled_from([1, 7, 1 << 16]))
def test_from_any_place_on_and_in_parts_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int
) -> None:
    path = tmp_path_factory.mktemp("tail") / "log"
    path.write_bytes(b"".join(lines))
    ends = [len(b"".join(lines[: n + 1])) for n in range(len(lines))]
    whole = list(zip(ends, lines, strict=True))
    assert rest(Tail(path), size) == whole
    for place in range(len(b"".join(lines)) + 3):
        # An offset inside a line: reading starts at the next one.
        begins = next((end for end in [0, *ends] if end >= place), place)
        assert rest(Tail(path, place), size) == [line for line in whole if line[0] > begins]

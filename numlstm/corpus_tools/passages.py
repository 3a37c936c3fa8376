"""Find the passages of a text that occur twice, and the share of the text that is repeated.

Every window of `WINDOW` characters is hashed, by doubling: the hashes of two halves give that of the whole (Karp,
Miller & Rosenberg 1972). Sorting finds equal windows, and adjacent ones form a passage. Takes O(n log n) time and about
40 bytes of memory per character.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..text.vocab.char import to_codes

WINDOW = 64  # characters: shorter repetitions are normal in any language

_Numbers = npt.NDArray[np.uint64]
_Places = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Passage:
    """A repeated passage: where it starts, where it started before, its length and its text."""

    start: int
    before: int
    length: int
    text: str


def repeated_passages(text: str, most: int = 5) -> tuple[list[Passage], float]:
    """Return the longest passages that repeat an earlier one, and the repeated share of the text, 0 to 1."""
    if len(text) < 2 * WINDOW:
        return [], 0.0
    places, before = _equal_windows(_window_numbers(text))
    if not len(places):
        return [], 0.0
    covered = np.zeros(len(text) + 1, np.int32)
    covered[places] += 1  # `places` has no duplicates
    covered[places + WINDOW] -= 1
    share = float(np.count_nonzero(np.cumsum(covered[:-1]))) / len(text)
    return _longest(text, places, before, most), share


def _window_numbers(text: str) -> _Numbers:
    """Return a hash of each window of `WINDOW` characters; equal windows have equal hashes."""
    numbers = to_codes(text).astype(np.uint64)
    width = 1
    while width < WINDOW:
        numbers = _mixed(numbers[:-width] * np.uint64(0x9E3779B97F4A7C15) + numbers[width:])
        width *= 2
    return numbers


def _mixed(numbers: _Numbers) -> _Numbers:
    numbers ^= numbers >> np.uint64(29)
    numbers *= np.uint64(0xBF58476D1CE4E5B9)
    numbers ^= numbers >> np.uint64(32)
    return numbers


def _equal_windows(numbers: _Numbers) -> tuple[_Places, _Places]:
    """Return where windows repeat an earlier one, ascending, and for each the last place where it occurred before."""
    by_number = np.argsort(numbers, kind="stable")
    ordered = numbers[by_number]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    places, before = by_number[same + 1], by_number[same]
    ascending = np.argsort(places)
    return places[ascending], before[ascending]


def _longest(text: str, places: _Places, before: _Places, most: int) -> list[Passage]:
    """Return the longest passages that runs of equal windows belong to, longest first."""
    breaks = np.flatnonzero((np.diff(places) != 1) | (np.diff(before) != 1)) + 1
    firsts = np.concatenate([[0], breaks])
    ends = np.concatenate([breaks, [len(places)]])
    by_length = np.argsort(firsts - ends, kind="stable")
    found: list[Passage] = []
    for row in by_length[: 40 * most].tolist():
        passage = _whole(text, int(places[firsts[row]]), int(before[firsts[row]]))
        known = any(passage.text in each.text for each in found)
        if passage.length >= WINDOW and not known:
            found.append(passage)
    return sorted(found, key=lambda each: -each.length)[:most]


def _whole(text: str, start: int, before: int) -> Passage:
    """Return the longest passage that is equal around both places; a run of windows may be only a part of it."""
    left = 0
    while left < before and text[start - left - 1] == text[before - left - 1]:
        left += 1
    start, before = start - left, before - left
    length, step = 0, 1
    while step:
        end = length + step
        if start + end <= len(text) and text[start + length : start + end] == text[before + length : before + end]:
            length, step = end, 2 * step
        else:
            step //= 2
    return Passage(start, before, length, text[start : start + length])

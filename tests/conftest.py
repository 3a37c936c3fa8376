"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from numlstm.text.stdlib import python_source

# The first example of a test may import modules and compile patterns, and the machine may have other work.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def source_text() -> str:
    """A real text, found on every machine: 60,000 characters of Python's own library."""
    return python_source()[:60_000]


@pytest.fixture
def text_file(tmp_path: Path, source_text: str) -> Path:
    """The first 6,000 characters of it in a file."""
    path = tmp_path / "text.txt"
    path.write_text(source_text[:6000], encoding="utf-8", newline="")
    return path

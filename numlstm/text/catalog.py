"""The catalogue of named corpora, as `corpora.toml` lists them.

The file lies in the installed package, or at the top of a source checkout. Knows nothing about how the
text of a corpus is found or read.
"""

from __future__ import annotations

import importlib.resources
import sys
from pathlib import Path
from typing import Any

from ..errors import CorpusError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def corpus_names() -> dict[str, dict[str, Any]]:
    """Return each named corpus with what `corpora.toml` says of it: title, author, language, licence, source.

    Raises `CorpusError` if the file is missing or broken.
    """
    try:
        entries: dict[str, dict[str, Any]] = tomllib.loads(_catalogue_text())
    except (OSError, ValueError) as error:  # ValueError: bytes that are no UTF-8, or text that is no TOML
        raise CorpusError(
            f"the list of named corpora does not read ({error}); expected corpora.toml inside the package; "
            "install numlstm again"
        ) from error
    return entries


def _catalogue_text() -> str:
    installed = importlib.resources.files("numlstm") / "corpus" / "corpora.toml"
    if installed.is_file():
        return installed.read_text("utf-8")
    checkout = Path(__file__).parents[2] / "corpus" / "corpora.toml"
    return checkout.read_text("utf-8")

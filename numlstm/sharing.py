"""A weights file to give away: small, and telling nothing of the machine that it was made on.

Knows nothing about where files lie or who is told.
"""

from __future__ import annotations

import dataclasses
import ntpath
import posixpath
import shlex
from collections.abc import Mapping
from typing import Any

from .weights import WeightsFile

_EPOCHS = 100  # of the history that are kept


def to_share(file: WeightsFile, about: Mapping[str, str]) -> WeightsFile:
    """Return what a copy to give away holds: the best parameters, without training state.

    `about` says what the model was trained on and who may use it: title, author, licence, url. Folders are taken off
    the names of texts and files, and of a long history every so many epochs are left.
    """
    summary: dict[str, Any] = dict(file.summary)
    if "corpus" in summary:
        summary["corpus"] = {**summary["corpus"], "sources": [_name(each) for each in summary["corpus"]["sources"]]}
    if "commands" in summary:
        summary["commands"] = [shlex.join(map(_name, shlex.split(each))) for each in summary["commands"]]
    history = summary.get("history", [])
    summary["history"] = history[:: -(-len(history) // _EPOCHS) or 1]
    summary["about"] = {**summary.get("about", {}), **about}
    return dataclasses.replace(file, summary=summary, state=None)


def _name(word: str) -> str:
    """Return a path that begins at the root of a disk without its folders; a URL stays as it is."""
    if posixpath.isabs(word):
        return posixpath.basename(word.rstrip("/"))
    return ntpath.basename(word) if ntpath.splitdrive(word)[0] and "://" not in word else word

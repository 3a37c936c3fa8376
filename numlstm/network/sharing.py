"""Prepare a weights file for sharing: small, and without details of the machine it was trained on."""

from __future__ import annotations

import dataclasses
import ntpath
import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import Any

from .weights_file import WeightsFile

_EPOCHS = 100  # maximum number of epochs kept in the history
_OPTION = re.compile(r"(--[\w-]+=|-o(?!$))?(.*)", re.DOTALL)
_SECRETS = re.compile(r"(?<=://)[^/?]*@|\?.*", re.DOTALL)  # user and password, and the query string


def to_share(file: WeightsFile, about: Mapping[str, str]) -> WeightsFile:
    """Return a copy for sharing, with the best parameters and no training state.

    `about` describes the training text and its licence: title, author, licence, url. Folders are stripped from the
    names of texts and files, and passwords from URLs. A long history is thinned to evenly spaced epochs.
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
    """Strip the folders from a path, or user, password and query from a URL; `word` may begin with an option."""
    option, path = _OPTION.fullmatch(word).groups("")  # type: ignore[union-attr]
    if "://" in path and not path.startswith("file:"):
        return option + _SECRETS.sub("", path)
    if "/" in path:
        path = posixpath.basename(path.rstrip("/"))
    return option + (ntpath.basename(path) if ntpath.splitdrive(path)[0] else path)

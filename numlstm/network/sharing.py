"""A weights file to give away: small, and telling nothing of the machine that it was made on.

Knows nothing about where files lie or who is told.
"""

from __future__ import annotations

import dataclasses
import ntpath
import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import Any

from .weights_file import WeightsFile

_EPOCHS = 100  # of the history that are kept
_OPTION = re.compile(r"(--[\w-]+=|-o(?!$))?(.*)", re.DOTALL)
_SECRETS = re.compile(r"(?<=://)[^/?]*@|\?.*", re.DOTALL)  # the user and password, and what follows the path


def to_share(file: WeightsFile, about: Mapping[str, str]) -> WeightsFile:
    """Return what a copy to give away holds: the best parameters, without training state.

    `about` says what the model was trained on and who may use it: title, author, licence, url. Folders are taken off
    the names of texts and files, passwords off URLs, and of a long history every so many epochs are left.
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
    """Return a path, which may follow an option in the same word, without its folders, and a URL without passwords."""
    option, path = _OPTION.fullmatch(word).groups("")  # type: ignore[union-attr]
    if "://" in path and not path.startswith("file:"):
        return option + _SECRETS.sub("", path)
    if "/" in path:
        path = posixpath.basename(path.rstrip("/"))
    return option + (ntpath.basename(path) if ntpath.splitdrive(path)[0] else path)

"""The options of `numlstm train` that a training job on the server may have, as the server is told of them.

They are read off the command itself, so that there is one place where each is named, typed and worded.
"""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any

from rich.text import Text
from typer.models import OptionInfo

from ...serve.jobs.options import Kind, TrainOption
from ..train import changes
from ..train.command import train

# What is the server's to say: where things are and go, and that texts are UTF-8. Snapshots would be models of names
# that nobody asked for, in the place of others' perhaps.
_SERVERS = {"output", "overwrite", "resume", "log", "tensorboard", "encoding", "snapshot_epochs"}
_KINDS: dict[type, Kind] = {bool: "flag", int: "int", float: "float", str: "text"}
_DEFAULT = "  [default: "


def train_options() -> list[TrainOption]:
    """Return the options of a job in the order of `numlstm train --help`."""
    found = []
    for name, parameter in inspect.signature(train, eval_str=True).parameters.items():
        declared, *about = typing.get_args(parameter.annotation)
        info = next((each for each in about if isinstance(each, OptionInfo)), None)
        if info is not None and name not in _SERVERS:
            found.append(_option(name, declared, info, parameter.default))
    return found


def _option(name: str, declared: Any, info: OptionInfo, default: object) -> TrainOption:
    text, _, said = Text.from_markup(info.help or "").plain.partition(_DEFAULT)
    if not said and default not in (None, False):
        said = f"{default}]"
    group = info.rich_help_panel if isinstance(info.rich_help_panel, str) else "Run"
    return TrainOption(name, _KINDS[_type(declared)], group, text, said.removesuffix("]"), name in changes.KEPT)


def _type(declared: Any) -> type:
    """Return `int` for `int | None`."""
    if isinstance(declared, types.UnionType):
        (declared,) = (each for each in typing.get_args(declared) if each is not type(None))
    found: type = declared
    return found

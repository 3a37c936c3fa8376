"""The options that a training job may have: the settings of training, but for those that are the server's to say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ConfigError
from ...settings.amounts import parse_layers
from ...settings.commands import train_settings
from ...settings.declaration import Setting, named
from ..http.refusal import Refusal

Value = bool | int | float | str

# Where things are and go, and that texts are UTF-8. Snapshots would be models of names that nobody asked for, in the
# place of others' perhaps.
SERVERS = frozenset({"output", "overwrite", "resume", "log", "tensorboard", "encoding", "snapshot_epochs"})

_LONGEST = 2000  # characters of a value
_LARGEST = {"int": 2**63, "float": 1e300}  # what no number reaches, nor one that is none
_KINDS = {"flag": "flag", "int": "int", "float": "float", "text": "text", "sizes": "text"}
_EXPECTED = {"int": "a whole number", "float": "a number", "text": "text", "flag": "true or false"}


def job_settings() -> tuple[Setting, ...]:
    """Return the settings that a job may have, in the order of `numlstm train --help-all`."""
    return tuple(each for each in train_settings() if each.name not in SERVERS)


def described(setting: Setting) -> dict[str, Any]:
    """Return what clients are told of a setting; `default` is in words."""
    number = setting.kind in ("int", "float")
    return {
        "name": setting.name,
        "kind": _KINDS[setting.kind],
        "group": setting.group,
        "help": setting.help,
        "default": setting.default_in_words,
        "fixed": setting.fixed,
        "least": setting.least if number and math.isfinite(setting.least) else None,
        "most": setting.most if number and math.isfinite(setting.most) else None,
        "choices": list(setting.choices) or None,
    }


def checked(settings: Iterable[Setting], given: Mapping[str, Value]) -> dict[str, Value]:
    """Return the options that were given, each of its kind and in its range.

    Raises `Refusal` (400) for one that there is not, or that is not; `options.NAME` is then the field that is wrong.
    """
    known, found = named(settings), dict[str, Value]()
    for name, value in given.items():
        if name not in known:
            raise Refusal(
                400,
                f"no option is called {name!r:.80}; GET /v1/train/options lists them",
                "unknown_option",
                param="options",
            )
        found[name] = _of_kind(known[name], value)
        _check_range(known[name], found[name])
    return found


def _of_kind(setting: Setting, value: Value) -> Value:
    """Return a value as its option wants it."""
    kind = _KINDS[setting.kind]
    if kind == "flag" and isinstance(value, bool):
        return value
    if kind == "text" and isinstance(value, str) and _is_plain(value):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST.get(kind, 0):
        if kind == "float":
            return float(value)
        if kind == "int" and value == int(value):
            return int(value)
    expected = _EXPECTED[kind] + (f" of up to {_LONGEST} characters" if kind == "text" else "")
    raise _refused(setting, f"the option {setting.name} is {value!r:.80}; expected {expected}")


def _check_range(setting: Setting, value: Value) -> None:
    try:
        setting.check(parse_layers(str(value)) if setting.kind == "sizes" else value)
    except ConfigError as error:
        raise _refused(setting, f"the option {str(error).replace('`', '')}") from None


def _refused(setting: Setting, message: str) -> Refusal:
    return Refusal(400, message, "invalid_option", param=f"options.{setting.name}")


def _is_plain(value: str) -> bool:
    """Whether a text can be written into a file, and read by every program: no NUL, no half characters."""
    return len(value) <= _LONGEST and "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)

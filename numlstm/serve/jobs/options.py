"""The options of a training job: the training settings, except those that the server chooses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ConfigError
from ...settings.amounts import parse_layers
from ...settings.commands import train_settings
from ...settings.declaration import Setting, by_name
from ..http.refusal import Refusal

Value = bool | int | float | str

# The server chooses paths, and texts are UTF-8. Snapshots would add models under names that nobody asked for, and
# perhaps overwrite others.
SERVER_ONLY = frozenset({"output", "overwrite", "resume", "log", "tensorboard", "encoding", "snapshot_epochs"})

_LONGEST = 2000  # characters of a value
_LARGEST = {"int": 2**63, "float": 1e300}  # bounds that also exclude infinity and NaN
_KINDS = {"flag": "flag", "int": "int", "float": "float", "text": "text", "sizes": "text"}
_EXPECTED = {"int": "a whole number", "float": "a number", "text": "text", "flag": "true or false"}


def job_settings() -> tuple[Setting, ...]:
    """Return the settings that a job may set, in the order of `numlstm train --help-all`."""
    return tuple(each for each in train_settings() if each.name not in SERVER_ONLY)


def described(setting: Setting) -> dict[str, Any]:
    """Return the API's description of a setting; `default` is in words."""
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
    """Return the given options, each converted to its kind.

    Raises `Refusal` (400) if a name is unknown or a value is of another kind or out of range. Its field is then
    `options` or `options.NAME`.
    """
    known, found = by_name(settings), dict[str, Value]()
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
    """Return a value converted to its option's kind. Raises `Refusal` if it is of another kind."""
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
    """Return True if any program can read the text from a file: not too long, no NUL, no lone surrogates."""
    return len(value) <= _LONGEST and "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)

"""The options that a training job may have: what is known of each, and which values may be given.

What `numlstm train` makes of a value is for the job to find out: here is seen to it that each is of its kind, and that
none can become another option. Knows nothing about where the options come from or what they do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

from ..http.refusal import Refusal

Value = bool | int | float | str
Kind = Literal["int", "float", "text", "flag"]

_LONGEST = 2000  # characters of a value
_LARGEST = {"int": 2**63, "float": 1e300}  # what no number reaches, nor one that is none
_KINDS = {"int": "a whole number", "float": "a number", "text": "text", "flag": "true or false"}


@dataclasses.dataclass(frozen=True)
class TrainOption:
    """An option: `help` is plain text, `default` what is said of it; a run that goes on keeps what is `fixed`."""

    name: str
    kind: Kind
    group: str
    help: str
    default: str = ""
    fixed: bool = False


def checked(options: Iterable[TrainOption], given: Mapping[str, Value]) -> dict[str, Value]:
    """Return the options that were given, each as its kind; raises `Refusal` (400) for one that there is not or is not.

    `options.NAME` is then the field that is wrong.
    """
    known = {option.name: option for option in options}
    found: dict[str, Value] = {}
    for name, value in given.items():
        if name not in known:
            raise Refusal(
                400,
                f"no option is called {name!r:.80}; GET /v1/train/options lists them",
                "unknown_option",
                param="options",
            )
        found[name] = _of_kind(known[name], value)
    return found


def as_words(given: Mapping[str, Value]) -> list[str]:
    """Return the options as words of a command, one each: a value that begins with - stays a value."""
    flags = [_word(name) for name, value in given.items() if value is True]
    return flags + [f"{_word(name)}={value}" for name, value in given.items() if not isinstance(value, bool)]


def _word(name: str) -> str:
    return "--" + name.replace("_", "-")


def _of_kind(option: TrainOption, value: Value) -> Value:
    """Return a value as its option wants it."""
    if option.kind == "flag" and isinstance(value, bool):
        return value
    if option.kind == "text" and isinstance(value, str) and _is_plain(value):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST.get(option.kind, 0):
        if option.kind == "float":
            return float(value)
        if option.kind == "int" and value == int(value):
            return int(value)
    expected = _KINDS[option.kind] + (f" of up to {_LONGEST} characters" if option.kind == "text" else "")
    raise Refusal(
        400,
        f"the option {option.name} is {value!r:.80}; expected {expected}",
        "invalid_option",
        param=f"options.{option.name}",
    )


def _is_plain(value: str) -> bool:
    """Whether a text can be written into a file, and read by every program: no NUL, no half characters."""
    return len(value) <= _LONGEST and "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)

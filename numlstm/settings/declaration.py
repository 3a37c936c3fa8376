"""How a setting is declared: as a field of a dataclass, with its range, its help and where it is shown.

    batch_size: int = setting(16, "Parallel streams or windows.", STEPS, least=1, most=2**20)

From such a field come the check when the object is made, the option on the command line, the argument in Python, what
a training job over HTTP may give, and a row of the documentation's table.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from ..errors import ConfigError

TEXT, NETWORK, STEPS, OPTIMIZER, RUN = "Text", "Network", "Steps", "Optimizer and learning rate", "Run"
GROUPS = (TEXT, NETWORK, STEPS, OPTIMIZER, RUN)  # in the order in which they are shown

Kind = Literal["flag", "int", "float", "text", "sizes", "texts"]

_KINDS: dict[Any, Kind] = {
    bool: "flag",
    int: "int",
    float: "float",
    str: "text",
    tuple[int, ...]: "sizes",
    tuple[str, ...]: "texts",
}
_LARGEST = 2**31 - 1  # of a whole number that says nothing else
_LARGEST_FLOAT = sys.float_info.max
_REQUIRED = dataclasses.MISSING
_S = TypeVar("_S", bound="Settings")


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting as it was declared.

    `default` is that of the dataclass; `says` is what help and documentation say of it where it depends on the text or
    on other settings. `least` and `most` are the range of a number, the ends themselves left out by `above` and
    `below`; of `sizes` and `texts` that of each entry and its length. `only_with` names another setting and the values
    of it that read this one. A run that goes on keeps what is `fixed`. `common` settings are in the short help.
    """

    name: str
    kind: Kind
    optional: bool
    default: Any
    help: str
    group: str
    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False
    choices: tuple[str, ...] = ()
    says: str = ""
    only_with: tuple[str, tuple[str, ...]] | None = None
    fixed: bool = False
    common: bool = False
    metavar: str = ""
    short: str = ""

    @property
    def default_in_words(self) -> str:
        """What help and documentation say of the setting where it is not given; nothing if it then does nothing."""
        if self.says or self.required or self.kind == "flag" or self.default is None:
            return self.says
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default))
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    @property
    def required(self) -> bool:
        """Whether the setting has no default."""
        return self.default is _REQUIRED

    def check(self, value: object) -> None:
        """Raise `ConfigError` if a value is of another kind or out of range."""
        if value is None and self.optional:
            return
        if not self.allows(value):
            raise ConfigError(f"`{self.name}` is {value!r:.80}; expected {self.expected()}")

    def allows(self, value: object) -> bool:
        """Whether a value is of the setting's kind and in its range."""
        if self.choices:
            return value in self.choices
        if self.kind == "flag":
            return isinstance(value, bool)
        if self.kind == "text":
            return isinstance(value, str)
        if self.kind == "texts":
            return isinstance(value, tuple) and all(isinstance(each, str) and each for each in value)
        if self.kind == "sizes":
            return isinstance(value, tuple) and 1 <= len(value) <= 64 and all(map(self._in_range, value))
        return self._in_range(value)

    def _in_range(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.kind in ("int", "sizes") else (int, float)):
            return False
        if self.kind == "float" and not -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT:  # nor is NaN between them
            return False
        if not self.least <= value <= self.most:
            return False
        return not ((self.above and value == self.least) or (self.below and value == self.most))

    def expected(self) -> str:
        """Return what the setting may be, in words."""
        if self.choices:
            return " or ".join(self.choices)
        if self.kind == "flag":
            return "true or false"
        if self.kind == "text":
            return "text"
        if self.kind == "texts":
            return "texts of at least one character"
        if self.kind == "sizes":
            return f"1 to 64 whole numbers from {self.least:.0f} to {self.most:.0f}, one per layer"
        if self.kind == "int":
            return f"a whole number from {self.least:.0f} to {self.most:.0f}"
        low = f"above {self.least:g}" if self.above else f"at least {self.least:g}"
        if self.most == math.inf:
            return f"a number {low}"
        return f"a number {low} and {'less than' if self.below else 'at most'} {self.most:g}"


def setting(
    default: Any = _REQUIRED,
    help: str = "",
    group: str = "",
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    **more: Any,
) -> Any:
    """Return a field of a dataclass that declares a setting; without `group` it is nowhere shown.

    `least` and `most` are in the range, `above` and `below` just outside of it; `more` are other fields of `Setting`.
    """
    facts = {"help": help, "group": group, **more}
    facts |= {"least": above if least is None else least, "above": above is not None}
    facts |= {"most": below if most is None else most, "below": below is not None}
    return dataclasses.field(
        default=default, metadata={"setting": {key: value for key, value in facts.items() if value is not None}}
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings that are checked when the object is made; whoever holds one need not check again."""

    def __post_init__(self) -> None:
        for each in declared(type(self)):
            value = getattr(self, each.name)
            if each.kind in ("sizes", "texts") and not isinstance(value, tuple):
                value = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
                object.__setattr__(self, each.name, value)
            each.check(value)
        self._check_together()

    def _check_together(self) -> None:
        """Raise `ConfigError` for settings that do not fit each other."""

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dict that JSON can hold."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls: type[_S], values: Mapping[str, Any]) -> _S:
        """Make the object from what `to_dict` gave, read back from JSON.

        Raises `ConfigError` if a name is unknown or missing, or a value out of range.
        """
        known = {each.name: each for each in declared(cls)}
        if unknown := sorted(set(values) - set(known)):
            raise ConfigError(f"{cls.__name__} is {unknown!r}; expected no setting of an unknown name")
        if missing := sorted(name for name, each in known.items() if each.required and name not in values):
            raise ConfigError(f"{cls.__name__} is {dict(values)!r}; expected also the settings {missing}")
        return cls(**values)


def declared(of: type[Settings]) -> tuple[Setting, ...]:
    """Return the settings that a dataclass declares, in order."""
    key: Any = of
    return _declared(key)


@functools.cache
def _declared(of: Any) -> tuple[Setting, ...]:
    hints = typing.get_type_hints(of)
    found = []
    for field in dataclasses.fields(of):
        kind, optional = _kind(hints[field.name])
        facts = dict(field.metadata["setting"])
        if kind == "int":
            facts.setdefault("least", 0)
            facts.setdefault("most", _LARGEST)
        found.append(Setting(name=field.name, kind=kind, optional=optional, default=field.default, **facts))
    return tuple(found)


def _kind(hint: Any) -> tuple[Kind, bool]:
    """Return the kind of `int | None`, and that it is optional."""
    if isinstance(hint, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
        return _KINDS[hint], True
    return _KINDS[hint], False


def in_groups(settings: Iterable[Setting]) -> tuple[Setting, ...]:
    """Return those settings that are shown, group by group."""
    return tuple(each for group in GROUPS for each in settings if each.group == group)


def named(settings: Iterable[Setting]) -> dict[str, Setting]:
    """Return settings by their names."""
    return {each.name: each for each in settings}

"""Declare a setting as a dataclass field, with its range, its help text and where it is shown.

    batch_size: int = setting(16, "Parallel streams or windows.", STEPS, least=1, most=2**20)

Such a field provides the check when the object is created, the command-line option, the Python argument, the option of
a training job over HTTP, and a row of the documentation's table.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from ..errors import ConfigError

TEXT, NETWORK, STEPS, OPTIMIZER, RUN = "Text", "Network", "Steps", "Optimizer and learning rate", "Run"
GROUPS = (TEXT, NETWORK, STEPS, OPTIMIZER, RUN)  # in display order

Kind = Literal["flag", "int", "float", "text", "sizes", "texts"]

_KINDS: dict[Any, Kind] = {
    bool: "flag",
    int: "int",
    float: "float",
    str: "text",
    tuple[int, ...]: "sizes",
    tuple[str, ...]: "texts",
}
_LARGEST = 2**31 - 1  # the default maximum of whole numbers
_LARGEST_FLOAT = sys.float_info.max
_REQUIRED = dataclasses.MISSING
_S = TypeVar("_S", bound="Settings")


@dataclasses.dataclass(frozen=True)
class Setting:
    """A declared setting.

    `default` is the dataclass field's default. `default_text` describes it in help and documentation where the
    actual default depends on the text or on other settings. `least` and `most` bound a number, or each entry of
    `sizes`; `above` and `below` exclude the bounds themselves. `only_with` names another setting and its values
    with which this setting has an effect. `fixed` settings cannot change when a run resumes. `common` settings are
    shown in the short help.
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
    default_text: str = ""
    only_with: tuple[str, tuple[str, ...]] | None = None
    fixed: bool = False
    common: bool = False
    metavar: str = ""
    short: str = ""

    @property
    def default_in_words(self) -> str:
        """The default as help and documentation show it, "" if there is none to show."""
        if self.default_text or self.required or self.kind == "flag" or self.default is None:
            return self.default_text
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default))
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    @property
    def required(self) -> bool:
        """True if the setting has no default."""
        return self.default is _REQUIRED

    def check(self, value: object) -> None:
        """Raise `ConfigError` if a value has the wrong type or is out of range."""
        if value is None and self.optional:
            return
        if not self.allows(value):
            raise ConfigError(f"`{self.name}` is {format_value(value, quoted=True):.80}; expected {self.expected()}")

    def allows(self, value: object) -> bool:
        """Return True if a value has the right type and is in range."""
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
        if self.kind == "float" and not -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT:  # rejects NaN too
            return False
        if not self.least <= value <= self.most:
            return False
        return not ((self.above and value == self.least) or (self.below and value == self.most))

    def expected(self) -> str:
        """Return a description of the allowed values, for error messages."""
        if self.choices:
            return one_of(self.choices)
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
        low = f"above {self.least:g}" if self.above else f"of at least {self.least:g}"
        if self.most == math.inf:
            return f"a number {low}"
        if not (self.above or self.below):
            return f"a number from {self.least:g} to {self.most:g}"
        return f"a number {low} and {'less than' if self.below else 'at most'} {self.most:g}"


def format_value(value: object, *, quoted: bool = False) -> str:
    """Return a value as the command line takes it: 0.3, or 128,128 for layers; text in quotes if `quoted`."""
    if isinstance(value, tuple):
        return ",".join(format_value(each, quoted=quoted) for each in value)
    if value is None:
        return "not set"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, int) or (isinstance(value, str) and not quoted) else repr(value)


def one_of(names: Sequence[str]) -> str:
    """Return names as "a, b or c"."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


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
    """Return a dataclass field that declares a setting. Without a `group` the setting is not shown anywhere.

    `least` and `most` are inclusive bounds, `above` and `below` exclusive ones; `more` are other fields of `Setting`.
    """
    facts = {"help": help, "group": group, **more}
    facts |= {"least": above if least is None else least, "above": above is not None}
    facts |= {"most": below if most is None else most, "below": below is not None}
    return dataclasses.field(
        default=default, metadata={"setting": {key: value for key, value in facts.items() if value is not None}}
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base class of settings, which are validated when the object is created and need no further checks."""

    def __post_init__(self) -> None:
        for each in declared(type(self)):
            value = getattr(self, each.name)
            if each.kind in ("sizes", "texts") and not isinstance(value, tuple):
                value = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
                object.__setattr__(self, each.name, value)
            each.check(value)
        self._check_together()

    def _check_together(self) -> None:
        """Raise `ConfigError` for settings that contradict each other. Subclasses override this."""

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a JSON-serializable dict."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls: type[_S], values: Mapping[str, Any]) -> _S:
        """Create the object from the dict that `to_dict` returned, also after a round trip through JSON.

        Raises `ConfigError` if a name is unknown or missing, or a value is out of range.
        """
        known = {each.name: each for each in declared(cls)}
        if unknown := sorted(set(values) - set(known)):
            raise ConfigError(f"{cls.__name__} has unknown settings {unknown!r}; expected only known ones")
        if missing := sorted(name for name, each in known.items() if each.required and name not in values):
            raise ConfigError(f"{cls.__name__} is {dict(values)!r}; expected the settings {missing} as well")
        return cls(**values)


def declared(of: type[Settings]) -> tuple[Setting, ...]:
    """Return the settings that a dataclass declares, in field order."""
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
    """Return the kind of a type hint, and True if the hint is optional, such as `int | None`."""
    if isinstance(hint, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
        return _KINDS[hint], True
    return _KINDS[hint], False


def in_groups(settings: Iterable[Setting]) -> tuple[Setting, ...]:
    """Return the settings that have a group, sorted by group."""
    return tuple(each for group in GROUPS for each in settings if each.group == group)


def by_name(settings: Iterable[Setting]) -> dict[str, Setting]:
    """Return the settings as a dict by name."""
    return {each.name: each for each in settings}

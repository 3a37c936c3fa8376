"""The settings of training in display order, and validation of those that were given."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import ConfigError
from .amounts import parse_epochs, parse_layers
from .declaration import Setting, by_name, declared, in_groups
from .network import NetworkSettings
from .run import RunSettings
from .text import TextSettings
from .training import RESET_STATE, TrainingSettings

Options = Mapping[str, Any]  # the settings that were given, by name

_TYPES = {"flag": bool, "int": int, "float": float, "text": str, "sizes": tuple[int, ...], "texts": tuple[str, ...]}
_NOT_IN_PYTHON = ("resume",)  # Python has `resume_run` instead
_PYTHON_DEFAULTS = {"sample_length": 0, "reset_state": RESET_STATE}  # a program may have nobody to read samples
_PYTHON_WORDS = {"sample_length": "0", "output": "nothing is saved"}

_F = TypeVar("_F", bound=Callable[..., Any])


def train_settings() -> tuple[Setting, ...]:
    """Return the settings of `numlstm train`, of `numlstm.train` and of a training job."""
    places = (TextSettings, NetworkSettings, RunSettings, TrainingSettings)
    return in_groups([each for place in places for each in declared(place)])


def with_settings_in_help(function: _F) -> _F:
    """Decorator: add the training settings to a function's signature and docstring, for `help` and editors."""
    shown = [each for each in train_settings() if each.name not in _NOT_IN_PYTHON]
    own = inspect.signature(function)
    keywords = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_PYTHON_DEFAULTS.get(each.name, None if each.required else each.default),
            annotation=_TYPES[each.kind],
        )
        for each in shown
    ]
    plain = [each for each in own.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    function.__signature__ = own.replace(parameters=[*plain, *keywords])  # type: ignore[attr-defined]
    if function.__doc__ is not None:  # it is None under python -OO
        lines = [f"        {each.name}: {each.help}" + _default(each) for each in shown]
        function.__doc__ = "\n".join([function.__doc__.rstrip(), "", "    Settings:", "", *lines, "    "])
    return function


def _default(setting: Setting) -> str:
    words = _PYTHON_WORDS.get(setting.name, setting.default_in_words)
    return f" Default: {words}." if words else ""


def checked(options: Options) -> dict[str, Any]:
    """Validate the given settings and return them converted to their types: "128,128" becomes (128, 128).

    Raises `ConfigError` for an unknown name, a value out of range, or settings that contradict each other.
    """
    known = by_name(train_settings())
    found = dict(options)
    for name, value in found.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(known)}"
            raise ConfigError(f"there is no setting {name!r}; {hint}")
        if known[name].kind == "sizes":
            found[name] = parse_layers(value) if isinstance(value, str) else _sizes(value)
        known[name].check(found[name])
    if "snapshot_epochs" in found:
        found["snapshot_epochs"] = parse_epochs("`snapshot_epochs`", found["snapshot_epochs"])
    if "epochs" in found and "steps" in found:
        raise ConfigError("give either `epochs` or `steps`, not both")
    return found


def _sizes(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    return tuple(value) if isinstance(value, list) else value

"""Parse durations, save intervals, sizes and lists as typed on the command line."""

from __future__ import annotations

import dataclasses
import re

from ..errors import ConfigError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGT]?)(i?)[bB]?")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?(s|m|h|steps?)")


@dataclasses.dataclass(frozen=True)
class Every:
    """The interval between two saves: `steps` updates, or `seconds` if `steps` is 0."""

    seconds: float = 60.0
    steps: int = 0


def parse_duration(option: str, text: str) -> float:
    """Return a duration such as "90s", "15m" or "2h" in seconds. Raises `ConfigError` if it cannot be parsed."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or found[2] not in _SECONDS or not float(found[1]) > 0:
        raise ConfigError(f"{option} is {text!r}; expected a time such as 90s, 15m or 2h")
    return float(found[1]) * _SECONDS[found[2]]


def parse_every(option: str, text: str) -> Every:
    """Parse a save interval such as "60s" or "50steps". Raises `ConfigError` if it cannot be parsed."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or not float(found[1]) > 0 or (found[2][:4] == "step" and "." in found[1]):
        raise ConfigError(f"{option} is {text!r}; expected a time or a number of steps, such as 60s, 15m or 50steps")
    if found[2] in _SECONDS:
        return Every(seconds=parse_duration(option, text))
    return Every(steps=int(found[1]))


def parse_size(option: str, text: str) -> int:
    """Return a size such as "500MB", "2G" or "4096" in bytes. Raises `ConfigError` if it cannot be parsed."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{option} is {text!r}; expected a size such as 500MB or 2GB")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def parse_layers(layers: str) -> tuple[int, ...]:
    """Parse layer sizes such as "128,128". Raises `ConfigError` if they cannot be parsed."""
    try:
        return tuple(int(size) for size in layers.split(","))
    except ValueError:
        raise ConfigError(f"`layers` is {layers!r}; expected one size per layer, such as 128,128") from None


def parse_epochs(option: str, text: str) -> list[int]:
    """Parse epoch numbers such as "0,1,5,20"; return them sorted. Raises `ConfigError` if they cannot be parsed."""
    found = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,9}", part) for part in found):
        raise ConfigError(f"{option} is {text!r}; expected epoch numbers from 0, such as 0,1,5,20")
    return sorted({int(part) for part in found})

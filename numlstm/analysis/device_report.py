"""A short report of a device and of what was found on it, to be pasted into an issue.

Knows nothing about how it was found, and prints nothing.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping

from .._version import __version__
from ..backends.protocol import Backend

Facts = dict[str, str]


def facts(backend: Backend, errors: Mapping[str, float], more: Mapping[str, str] | None = None) -> Facts:
    """Return the device, the versions and the largest error of each kind, by name, in words."""
    found = {
        "numlstm": __version__,
        "device": backend.describe(),
        **backend.about(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "os": platform.platform(terse=True),
        "machine": platform.machine(),
    }
    found |= {f"error, {kind}": f"{error:.1e}" for kind, error in errors.items()}
    return found | dict(more or {})


def worst(errors: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the largest error of each kind, in the order in which the kinds come; NaN if one is."""
    found: dict[str, float] = {}
    for kind, error in errors:
        before = found.get(kind, error)
        found[kind] = before if before != before or error < before else error
    return found


def as_text(found: Facts) -> str:
    """Return the report as lines that keep their shape where Markdown is read."""
    width = max(map(len, found))
    return "\n".join(("```", *(f"{name:<{width}}  {value}" for name, value in found.items()), "```"))

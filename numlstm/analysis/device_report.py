"""A short report on a device and the errors measured on it, to paste into an issue."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping

from .._version import __version__
from ..backends.protocol import Backend

Facts = dict[str, str]


def facts(backend: Backend, errors: Mapping[str, float], more: Mapping[str, str] | None = None) -> Facts:
    """Return the report's entries as text by name: the device, the versions and the largest error of each kind."""
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
    """Return the largest error of each kind, in order of first appearance; NaN if any error of that kind is NaN."""
    found: dict[str, float] = {}
    for kind, error in errors:
        before = found.get(kind, error)
        found[kind] = before if before != before or error < before else error
    return found


def as_text(found: Facts) -> str:
    """Return the report as a Markdown code block with aligned columns."""
    width = max(map(len, found))
    return "\n".join(("```", *(f"{name:<{width}}  {value}" for name, value in found.items()), "```"))

"""Find the models that ship with the package, by name.

They are in the installed package, or at the top of a source checkout.
"""

from __future__ import annotations

from pathlib import Path

_PLACES = (Path(__file__).parents[1] / "models", Path(__file__).parents[2] / "models")


def models() -> dict[str, Path]:
    """Return the files of the shipped models by name."""
    folder = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
    return {path.stem: path for path in sorted(folder.glob("*.npz"))}


def model_path(name: str) -> Path | None:
    """Return the file of the shipped model with that name, or None."""
    if not name.isidentifier():  # a path: skip the folder listing
        return None
    return models().get(name)

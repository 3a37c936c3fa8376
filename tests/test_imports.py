"""Imports between rooms and between modules have no cycles, and heavy packages are imported only where needed.

A room is a top-level package or module of numlstm. `MAY_IMPORT` says which others each room may import.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import numlstm
from numlstm.cli import COMMANDS

ROOT = Path(numlstm.__file__).parent

_BASE = {"errors", "settings", "storage", "_version"}
_NETWORK = {*_BASE, "text", "backends", "network"}
_LIBRARY = {*_NETWORK, "generation", "model", "training", "monitoring"}
_TOOLS = {"formats", "parallel", "search", "analysis", "corpus_tools"}

# The rooms that each room may import, besides itself.
MAY_IMPORT = {
    "errors": set[str](),
    "_version": set[str](),
    "settings": {"errors"},
    "storage": {"errors", "settings"},
    "text": {*_BASE},
    "backends": {*_BASE},
    "network": {*_BASE, "text", "backends"},
    "generation": _NETWORK,
    "model": {*_NETWORK, "generation"},
    "monitoring": {*_NETWORK, "generation", "model"},
    "training": {*_NETWORK, "generation", "model", "monitoring"},
    **dict.fromkeys(_TOOLS, _LIBRARY),
    "serve": {*_LIBRARY, *_TOOLS},
    "cli": {*_LIBRARY, *_TOOLS, "serve"},
    "__init__": {*_LIBRARY, *_TOOLS},
    "__main__": {"cli"},
}

# Third-party packages, and the paths below which they may be imported. The standard library is allowed everywhere.
ELSEWHERE = {
    "numpy": [""],
    "numba": ["backends/cpu/"],
    "llvmlite": ["backends/cpu/"],
    "cupy": ["backends/gpu/"],
    "typer": ["cli/"],
    "rich": ["cli/"],
    "matplotlib": ["monitoring/plot.py", "analysis/cell_pictures/plotted.py"],
    "tensorboardX": ["monitoring/tensorboard.py"],
    "tomli": ["text/"],
    "pooch": ["text/sources/download.py"],
    "requests": ["text/sources/download.py"],
    "docx": ["corpus_tools/office.py"],
    "pypdf": ["corpus_tools/pdf.py"],
    "fsspec": ["storage/remote.py"],
    "fastapi": ["serve/"],
    "starlette": ["serve/"],
    "pydantic": ["serve/"],
    "prometheus_client": ["serve/"],
    "uvicorn": ["serve/", "cli/serve.py"],
    "backports": ["text/sources/compressed.py"],
    "compression": ["text/sources/compressed.py"],  # in the standard library since Python 3.14
}
WITHOUT_NUMPY = {"errors", "settings", "_version", "__init__", "__main__"}


def modules_in(root: Path) -> dict[str, Path]:
    """Return the files of the package by dotted name."""
    found = {}
    for path in root.rglob("*.py"):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules_in(ROOT)
FILES = sorted(path.relative_to(ROOT).as_posix() for path in MODULES.values())


def room_of(path: str) -> str:
    """Return the room that a file belongs to, a key of MAY_IMPORT."""
    return path.partition("/")[0].removesuffix(".py")


def imports(path: str, source: str) -> Iterator[str]:
    """Yield the dotted names that a file imports, also in functions, under TYPE_CHECKING, or as strings."""
    package = ["numlstm", *Path(path).parts[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            # `from ..network import parameters` names a module, `from ..network.parameters import count` a function.
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and node.value in MODULES and node.value != "numlstm":
            yield node.value


def wrong_imports(path: str, source: str) -> Iterator[str]:
    """Yield the forbidden imports of a file."""
    own = room_of(path)
    for name in imports(path, source):
        first, *rest = name.split(".")
        if first == "numlstm":
            if rest[0] not in {own, *MAY_IMPORT[own]}:
                yield name
        elif first in ELSEWHERE:
            if not path.startswith(tuple(ELSEWHERE[first])) or (first == "numpy" and own in WITHOUT_NUMPY):
                yield name
        elif first not in sys.stdlib_module_names:
            yield name


def circles(arrows: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes in or above a cycle: repeatedly drop nodes without remaining dependencies; return the rest."""
    left = {name: set(to) & {*arrows} - {name} for name, to in arrows.items()}
    while free := {name for name, to in left.items() if not to}:
        left = {name: to - free for name, to in left.items() if name not in free}
    return sorted(left)


def arrows_between_modules() -> dict[str, set[str]]:
    """Return the modules that each module imports."""
    found = {}
    for module, path in MODULES.items():
        names = imports(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
        found[module] = {name if name in MODULES else name.rpartition(".")[0] for name in names} & {*MODULES}
    return found


@pytest.mark.parametrize("path", FILES)
def test_imports_go_one_way(path: str) -> None:
    assert list(wrong_imports(path, (ROOT / path).read_text("utf-8"))) == []


def test_the_rooms_are_those_of_the_plan() -> None:
    assert {room_of(path) for path in FILES} <= {*MAY_IMPORT}


def test_the_plan_admits_no_circle() -> None:
    assert circles(MAY_IMPORT) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(arrows_between_modules()) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}}) == ["a", "b", "c"]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_two_modules_of_one_name_lie_in_one_another() -> None:
    """`import` could not tell a package from a module of the same name."""
    assert not [path for path in FILES if (ROOT / path).with_suffix("").is_dir()]


@pytest.mark.parametrize(
    ("path", "source", "wrong"),
    [
        ("network/parameters.py", "from ..model import Model", ["numlstm.model.Model"]),
        ("network/parameters.py", "def f():\n    from ..training import loop", ["numlstm.training.loop"]),
        ("network/parameters.py", "import numlstm.training.loop", ["numlstm.training.loop"]),
        ("network/parameters.py", "from .network import Network", []),
        ("model.py", "from .training.loop import train", ["numlstm.training.loop.train"]),
        ("training/loop.py", "if TYPE_CHECKING:\n    from ..cli.train import command", ["numlstm.cli.train.command"]),
        ("serve/jobs/process.py", "WORKER = 'numlstm.cli.train.command'", ["numlstm.cli.train.command"]),
        ("text/vocab/base.py", "from ...network import parameters", ["numlstm.network.parameters"]),
        ("backends/cpu/dense.py", "from ...text.vocab import char", ["numlstm.text.vocab.char"]),
        ("backends/cpu/dense.py", "from ...errors import ConfigError", []),
        ("backends/reference/lstm.py", "import numba", ["numba"]),
        ("backends/cpu/dense.py", "import numba.core", []),
        ("backends/cpu/dense.py", "import cupy", ["cupy"]),
        ("model.py", "def f():\n    from rich.table import Table", ["rich.table.Table"]),
        ("cli/check.py", "from rich.table import Table", []),
        ("training/loop.py", "import torch", ["torch"]),
        ("monitoring/plot.py", "def f():\n    import matplotlib", []),
        ("monitoring/events.py", "from tensorboardX import summary", ["tensorboardX.summary"]),
        ("cli/check.py", "from ..analysis import gradient_check", []),
        ("settings/text.py", "import numpy as np", ["numpy"]),
    ],
)
def test_a_wrong_import_is_found(path: str, source: str, wrong: list[str]) -> None:
    assert list(wrong_imports(path, source)) == wrong


def imported(*arguments: str) -> tuple[set[str], str]:
    """Return the modules that a new Python process imports, as listed by `-X importtime`, and its output."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )
    names = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    return names, ran.stdout


HEAVY = {
    "numba",
    "cupy",
    "numpy",
    "llvmlite",
    "torch",
    "matplotlib",
    "tensorboardX",
    "pooch",
    "docx",
    "pypdf",
    "fastapi",
    "uvicorn",
}


def test_importing_the_package_imports_nothing_heavy() -> None:
    names, _ = imported("-c", "import numlstm")
    assert "numlstm" in names
    assert not names & {*HEAVY, "typer", "rich"}


OFTEN = ("train", "gen")
RARELY = [pytest.param((name,), marks=pytest.mark.slow) for name in COMMANDS if name not in OFTEN]


@pytest.mark.parametrize("command", [(), *((name,) for name in OFTEN), *RARELY], ids=str)
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    names, said = imported("-m", "numlstm", *command, "--help")
    assert "Usage" in said
    assert not names & HEAVY


def test_the_list_of_imports_sees_what_is_heavy() -> None:
    names, _ = imported("-c", "import numlstm; numlstm.Model")
    assert "numpy" in names


def test_what_scripts_and_programs_in_strings_import_is_there() -> None:
    """Finds imports of moved modules or names in code that only slow tests run, or no test at all."""
    missing = []
    for folder in ("benchmarks", "docs", "models", "tests"):
        for path in (ROOT.parent / folder).rglob("*.py"):
            for module, names in re.findall(r"from (numlstm[\w.]*) import ([\w, ]+)", path.read_text("utf-8")):
                for name in (each.split(" as ")[0].strip() for each in names.split(",")):
                    if name and not _is_there(module, name):
                        missing.append(f"{path.relative_to(ROOT.parent)}: from {module} import {name}")
    assert missing == []


def _is_there(module: str, name: str) -> bool:
    if module == "numlstm.counting":  # in the toy package of tests/mutation
        return True
    if f"{module}.{name}" in MODULES:
        return True
    if module not in MODULES:
        return False
    return name in {*re.findall(r"\w+", MODULES[module].read_text("utf-8"))}

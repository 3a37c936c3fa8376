"""Imports go one way, and what is heavy is imported only where it is needed.

The order, each level importing only from those before it:

    errors, temporary, remote, cachedir, shipped, stops, philox
           -> whole_file, config, dropout, sampling, text, backends, npz
           -> rules, params, chances -> draft -> batch -> generate -> weights, model, optim
           -> evaluate, feed, run, subjects, gates, score
           -> train, gradcheck, cells, score_page, serve -> cli

`gather` needs `text`, `params` and what they need, and nobody but `cli` needs it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import numlstm
from numlstm.cli import COMMANDS

ROOT = Path(numlstm.__file__).parent

# What each part may import of the package. A name that is not here fails the test: give it its place.
MAY_IMPORT = {
    "errors": set(),
    "config": {"errors"},
    "philox": set(),
    "dropout": {"philox"},
    "sampling": {"errors"},
    "stops": set(),
    "temporary": set(),
    "remote": set(),
    "shipped": set(),
    "cachedir": set(),
    "whole_file": {"errors", "remote", "temporary"},
    "npz": {"errors", "remote", "whole_file"},
    "text": {"errors", "remote", "cachedir", "temporary", "text"},
    "backends": {"errors", "cachedir", "dropout", "philox", "sampling", "backends"},
    "params": {"errors", "config"},
    "rules": {"errors", "text"},
    "chances": set(),
    "draft": {"errors", "config", "chances", "rules", "stops", "text"},
    "batch": {"errors", "chances", "philox", "sampling", "text", "draft"},
    "generate": {"config", "draft", "batch"},
    "weights": {"errors", "config", "text", "npz", "whole_file", "params", "shipped", "version"},
    "optim": {"errors", "config", "backends", "params"},
    "model": {"errors", "config", "dropout", "sampling", "text", "backends", "params", "generate", "weights"},
}
_PLACES = {"temporary", "remote", "cachedir", "shipped", "whole_file"}
_BELOW = {*MAY_IMPORT} - {"npz", *_PLACES}
MAY_IMPORT["evaluate"] = {*_BELOW}
MAY_IMPORT["likelihood"] = {"chances", "model"}
MAY_IMPORT["beam"] = {"config", "chances", "draft", "model"}
# What tells of runs: of plain numbers and dicts, but for the two that look at the network and the run.
MAY_IMPORT |= {
    "measures": set(),
    "advice": set(),
    "runlog": {"errors"},
    "curves": {"errors", "runlog", "text"},
    "plot": {"errors", "curves"},
}
MAY_IMPORT["gates"] = {*_BELOW}
# What looks at a text through a network, and the pages and pictures of it.
MAY_IMPORT["score"] = {*_BELOW, "likelihood"}
MAY_IMPORT["score_page"] = {*_BELOW, "score", "measures"}
MAY_IMPORT["cells"] = {*_BELOW, "gates"}
MAY_IMPORT["cellview"] = {"errors", "text", "whole_file", "cellview"}
MAY_IMPORT["tensorboard"] = {"errors", "measures", "gates", "text"}
MAY_IMPORT["events"] = {*_BELOW, "train", "gates", "measures", "version"}
MAY_IMPORT["subjects"] = {*_BELOW}
MAY_IMPORT["gradcheck"] = {*_BELOW, "subjects"}
MAY_IMPORT["report"] = {"backends", "version"}
MAY_IMPORT["sharing"] = {"weights"}
MAY_IMPORT["average"] = {"backends", "model"}
MAY_IMPORT["run"] = {*_BELOW, "average"}
MAY_IMPORT["feed"] = {"errors", "backends", "text"}
MAY_IMPORT["train"] = {*_BELOW, "evaluate", "feed", "run"}
MAY_IMPORT["gather"] = {"errors", "config", "text", "whole_file", "params", "advice", "gather"}
MAY_IMPORT["serve"] = {
    *_BELOW,
    "likelihood",
    "whole_file",
    "temporary",
    "cachedir",
    "shipped",
    "runlog",
    "measures",
    "serve",
    "version",
}
MAY_IMPORT["cli"] = {*MAY_IMPORT, "cli", "version"}
MAY_IMPORT["__init__"] = {*MAY_IMPORT} - {"cli"}
MAY_IMPORT["__main__"] = {"cli"}

# Where packages of others may be imported; all may import the standard library.
NUMPY = {*MAY_IMPORT} - {"errors", "config", "__init__", "__main__", *_PLACES}
ELSEWHERE = {
    "numpy": lambda path: part_of(path) in NUMPY,
    "numba": lambda path: path.startswith("backends/cpu/"),
    "llvmlite": lambda path: path.startswith("backends/cpu/"),
    "cupy": lambda path: path.startswith("backends/gpu"),
    "typer": lambda path: path.startswith("cli/"),
    "rich": lambda path: path.startswith("cli/"),
    "matplotlib": lambda path: path in ("plot.py", "cellview/plotted.py"),
    "tensorboardX": lambda path: path == "tensorboard.py",
    "tomli": lambda path: path.startswith("text/"),
    "pooch": lambda path: path == "text/downloading.py",
    "requests": lambda path: path == "text/downloading.py",
    "docx": lambda path: path == "gather/office.py",
    "pypdf": lambda path: path == "gather/pdf.py",
    "fsspec": lambda path: path == "remote.py",
    "fastapi": lambda path: path.startswith("serve/"),
    "starlette": lambda path: path.startswith("serve/"),
    "pydantic": lambda path: path.startswith("serve/"),
    "prometheus_client": lambda path: path.startswith("serve/"),
    "uvicorn": lambda path: path.startswith(("serve/", "cli/serve")),
    "backports": lambda path: path == "text/compressed.py",
    "compression": lambda path: path == "text/compressed.py",  # of the standard library from Python 3.14
}
NUMPY -= {"measures", "advice", "runlog", "curves", "plot", "tensorboard"}


def part_of(path):
    """The part of the package, a key of MAY_IMPORT, that a file belongs to."""
    return path.partition("/")[0].removesuffix(".py")


def modules(path, source):
    """The dotted names of all modules that a file may import, in functions and under TYPE_CHECKING too."""
    package = ["numlstm", *Path(path).parts[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            # `from .. import params` names a module, `from ..params import count` a function.
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imported_part(name):
    """The part of the package that a dotted name `numlstm.…` belongs to."""
    first = name.split(".")[1]
    return "version" if first == "__version__" else first


def wrong_imports(path, source):
    """What a file imports and must not."""
    own = part_of(path)
    for name in modules(path, source):
        first = name.partition(".")[0]
        if first == "numlstm":
            if imported_part(name) not in MAY_IMPORT[own]:
                yield name
        elif first in ELSEWHERE:
            if not ELSEWHERE[first](path):
                yield name
        elif first not in sys.stdlib_module_names:
            yield name


FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES)
def test_imports_go_one_way(path):
    if path.startswith("corpus/"):
        pytest.skip("a text, not a part of the package")
    assert list(wrong_imports(path, (ROOT / path).read_text(encoding="utf-8"))) == []


def test_the_table_of_parts_has_no_way_back():
    """Apart from parts that import within themselves, the order admits no circle."""
    left = {part: may - {part, "version"} for part, may in MAY_IMPORT.items()}
    while left:
        free = {part for part, may in left.items() if not may}
        assert free, f"a circle among {sorted(left)}"
        left = {part: may - free for part, may in left.items() if part not in free}


@pytest.mark.parametrize(
    ("path", "source", "wrong"),
    [
        ("params.py", "from .model import Model", ["numlstm.model.Model"]),
        ("params.py", "def f():\n    from . import train", ["numlstm.training.loop"]),
        ("params.py", "import numlstm.training.optimizers", ["numlstm.training.optimizers"]),
        ("generate.py", "from .model import Model", ["numlstm.model.Model"]),
        ("model.py", "from .train import train", ["numlstm.training.loop.train"]),
        ("train.py", "if TYPE_CHECKING:\n    from .cli import train", ["numlstm.cli.train.command"]),
        ("text/vocab.py", "from ..config import ModelConfig", ["numlstm.settings.config.ModelConfig"]),
        ("backends/cpu/dense.py", "from ...params import count", ["numlstm.network.parameters.count"]),
        ("backends/cpu/dense.py", "from ...errors import ConfigError", []),
        ("backends/reference.py", "import numba", ["numba"]),
        ("backends/cpu/dense.py", "import numba.core", []),
        ("backends/cpu/dense.py", "import cupy", ["cupy"]),
        ("model.py", "def f():\n    from rich.table import Table", ["rich.table.Table"]),
        ("cli/check.py", "from rich.table import Table", []),
        ("train.py", "import torch", ["torch"]),
        ("plot.py", "def f():\n    import matplotlib", []),
        ("events.py", "from tensorboardX import summary", ["tensorboardX.summary"]),
        ("cli/check.py", "from .. import gradcheck", []),
        ("config.py", "import numpy as np", ["numpy"]),
        ("weights.py", "from . import __version__, npz", []),
    ],
)
def test_a_wrong_import_is_found(path, source, wrong):
    assert list(wrong_imports(path, source)) == wrong


def imported(*arguments):
    """The modules that a fresh Python imports, by the interpreter's own list."""
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


def test_importing_the_package_imports_nothing_heavy():
    names, _ = imported("-c", "import numlstm")
    assert "numlstm" in names
    assert not names & {*HEAVY, "typer", "rich"}


OFTEN = ("train", "gen")
RARELY = [pytest.param((name,), marks=pytest.mark.slow) for name in COMMANDS if name not in OFTEN]


@pytest.mark.parametrize("command", [(), *((name,) for name in OFTEN), *RARELY], ids=str)
def test_help_imports_nothing_heavy(command):
    names, said = imported("-m", "numlstm", *command, "--help")
    assert "Usage" in said
    assert not names & HEAVY


def test_the_list_of_imports_sees_what_is_heavy():
    names, _ = imported("-c", "import numlstm; numlstm.Model")
    assert "numpy" in names

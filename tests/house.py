"""Measure the structure of the package, to compare checkouts: `python -m tests.house [CHECKOUT ...]`.

    python -m tests.house . ../before

The length of a function excludes its docstring. A setting is declared wherever a settings class has it as a field, and
wherever an option of that name has its own help text.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.test_imports import circles, imports, modules_in, room_of

_NO_ROOM = ("__init__", "__main__", "_version")


def measured(checkout: Path) -> dict[str, Any]:
    """Return the figures of a checkout by name."""
    root = checkout / "numlstm"
    modules = modules_in(root)
    trees = {name: ast.parse(path.read_text("utf-8")) for name, path in modules.items()}
    arrows = _arrows(root, modules)
    tests = {path.stem.removeprefix("test_") for path in (checkout / "tests").rglob("test_*.py")}
    lengths = sorted(length for tree in trees.values() for length in _function_lengths(tree))
    options = Counter(name for tree in trees.values() for name in _declared_options(tree))
    return {
        "rooms at the root": len({_room(name) for name in modules} - {""}),
        "modules": len(modules),
        "arrows between rooms": len(
            {(_room(a), _room(b)) for a, to in arrows.items() for b in to if "" not in (_room(a), _room(b))}
            - {(room, room) for room in map(_room, modules)}
        ),
        "modules in or above a circle": len(circles(arrows)),
        "modules without a test file of their name": sum(
            path.stem != "__init__" and path.stem.strip("_") not in tests for path in modules.values()
        ),
        "functions": len(lengths),
        "lines of a function, median": statistics.median(lengths),
        "lines of a function, 90th percentile": lengths[int(0.9 * len(lengths))],
        "lines of the package": sum(len(path.read_text("utf-8").splitlines()) for path in modules.values()),
        "settings declared more than once": sum(number > 1 for number in options.values()),
    }


def _room(module: str) -> str:
    room = room_of("/".join(module.split(".")[1:]))
    return "" if room in _NO_ROOM else room


def _arrows(root: Path, modules: dict[str, Path]) -> dict[str, set[str]]:
    found = {}
    for module, path in modules.items():
        names = imports(path.relative_to(root).as_posix(), path.read_text("utf-8"))
        found[module] = {name if name in modules else name.rpartition(".")[0] for name in names} & {*modules}
    return found


def _function_lengths(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node, clean=False)
            yield (node.end_lineno or 0) - node.lineno + 1 - (len(docstring.splitlines()) if docstring else 0)


def _declared_options(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Settings", "Config", "Level")):
            fields = (each.target for each in node.body if isinstance(each, ast.AnnAssign))
            yield from (each.id for each in fields if isinstance(each, ast.Name))
        elif isinstance(node, ast.arg) and _has_a_text(node.annotation):
            yield node.arg
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _has_a_text(node.value):
            yield "".join(f"_{each.lower()}" if each.isupper() else each for each in node.targets[0].id).strip("_")


def _has_a_text(node: ast.AST | None) -> bool:
    """Return True if the expression creates an option with its own help text."""
    calls = (each for each in ast.walk(node or ast.Pass()) if isinstance(each, ast.Call))
    return any(
        ast.unparse(call.func).lower().endswith("option")
        and any(
            isinstance(part, ast.Constant) and " " in str(part.value)
            for given in (*call.args, *(word.value for word in call.keywords if word.arg == "help"))
            for part in ast.walk(given)
        )
        for call in calls
    )


def main(checkouts: list[str]) -> None:
    """Print a table with a column for each checkout."""
    columns = [measured(Path(each)) for each in checkouts]
    width = max(map(len, columns[0]))
    print(" " * width, *(f"{Path(each).resolve().name:>12.12}" for each in checkouts))
    for name in columns[0]:
        print(f"{name:{width}}", *(f"{column[name]:>12,}" for column in columns))


if __name__ == "__main__":
    main(sys.argv[1:] or ["."])

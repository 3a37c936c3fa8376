"""Rung 0: every CuPy name that the package uses exists in the real CuPy."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import numlstm.backends.gpu as package

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
FOLDER = Path(next(iter(package.__path__)))
BLAS = ("cuda", "cublas")  # can be imported only if cuBLAS is installed


def asked(source: str, alias: str = "cp") -> set[tuple[str, ...]]:
    """Return the dotted CuPy names that a module's source uses, only the longest of each chain."""
    names, inner = set(), set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        chain, at = [], node
        while isinstance(at, ast.Attribute):
            chain.append(at.attr)
            at = at.value
        if isinstance(at, ast.Name) and at.id == alias:
            names.add(tuple(chain[::-1]))
            inner.add(tuple(chain[:0:-1]))
    return names - inner


NAMES = sorted({name for path in FOLDER.rglob("*.py") for name in asked(path.read_text(encoding="utf-8"))})


def resolve(name: tuple[str, ...]) -> object:
    found: object = cupy
    for part in name:
        found = getattr(found, part)
    return found


def test_the_package_asks_cupy_for_something():
    assert ("RawModule",) in NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name[:2] != BLAS], ids=".".join)
def test_a_name_is_there(name):
    if name[:2] == ("cuda", "Device"):  # a device's own attributes are known only with a device
        name = ("cuda", "Device", *[part for part in name[2:] if hasattr(cupy.cuda.Device, part)])
    resolve(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name[:2] == BLAS], ids=".".join)
def test_a_name_of_cublas_is_there(name):
    try:
        blas = importlib.import_module("cupy_backends.cuda.libs.cublas")
    except ImportError:
        pytest.skip(f"cuBLAS is not installed, so {'.'.join(name[2:])} cannot be checked")
    assert hasattr(blas, name[2])


@pytest.mark.parametrize("absent", ["cp.absent", "cp.cuda.absent", "cp.cuda.runtime.absent(1).x", "cp.ndarray.absent"])
def test_a_name_that_is_not_there_is_found(absent):
    (name,) = asked(f"def f():\n    return {absent}") - {("cuda", "runtime")}
    with pytest.raises(AttributeError):
        resolve(name)

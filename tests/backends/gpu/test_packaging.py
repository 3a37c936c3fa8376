"""The GPU extras install the right packages, and the wheel includes the kernels."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from numlstm.backends.gpu import modules, probe

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[3]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
CUDA = {"gpu": 13, "gpu-cuda12": 12}


@pytest.mark.parametrize("extra", CUDA)
def test_an_extra_brings_cupy_with_the_libraries_of_its_cuda(extra: str) -> None:
    (wanted,) = EXTRAS[extra]
    assert re.fullmatch(rf"cupy-cuda{CUDA[extra]}x\[ctk\]>=14\.2", wanted)
    assert f"'numlstm[{extra}]'" in probe.INSTALL
    assert CUDA[extra] in probe.DRIVERS


@pytest.mark.parametrize("cuda", CUDA.values())
def test_the_installed_cupy_is_one_that_an_extra_brings(cuda: int) -> None:
    try:
        found = importlib.metadata.metadata(f"cupy-cuda{cuda}x")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"cupy-cuda{cuda}x is not installed")
    assert tuple(map(int, found["Version"].split(".")[:2])) >= (14, 2)
    assert "ctk" in (found.get_all("Provides-Extra") or [])
    (libraries,) = (each for each in found.get_all("Requires-Dist") or [] if each.startswith("cuda-toolkit"))
    assert f"=={cuda}.*" in libraries
    assert {"cublas", "cudart", "nvrtc"} <= {*re.findall(r"\w+", libraries)}, "used by the backend"


def test_the_wheel_holds_all_kernels() -> None:
    """Checks the list of files that would go into the wheel, without building it."""
    files = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    folder = "numlstm/backends/gpu/kernels"
    assert {"probe"} <= {*modules.texts()}
    expected = {f"{folder}/{name}.cu" for name in modules.texts()} | {f"{folder}/common.cuh"}
    assert expected <= files
    assert "numlstm/backends/gpu/probe.py" in files

"""If a GPU is needed, tests that cannot use one fail, and CuPy's import warnings hide neither tests nor GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from numlstm.backends.cpu import cache
from tests.helpers.gpu_needed import VARIABLE

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

@pytest.mark.gpu
def test_on_a_card():
    pytest.skip("no card in this machine")

@pytest.mark.gpu
@pytest.mark.skipif(True, reason="no driver")
def test_with_a_driver():
    pass

def test_of_something_else():
    pytest.skip("no browser")
"""
# The part of CuPy that the probe uses before it finds that there is no driver.
CUPY = """
import types, warnings
warnings.warn("multiple CuPy packages are installed")
__version__ = "14.2.0"
runtime = types.SimpleNamespace(driverGetVersion=lambda: 0, runtimeGetVersion=lambda: 13020)
cuda = types.SimpleNamespace(runtime=runtime)
"""


def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run Python in a folder; return its exit code and output."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": path, **variables}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def pytest_here(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run pytest with the plugin on the tests above."""
    (folder / "test_few.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n", encoding="utf-8")
    plugins = ("-p", "tests.helpers.gpu_needed", "-p", "xdist.plugin", "-p", "no:cacheprovider")
    variables = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables}  # importing other plugins would take seconds
    return run(folder, "-m", "pytest", *plugins, "-q", "-rfEs", *arguments, **variables)


@pytest.mark.parametrize("workers", [pytest.param("0", marks=pytest.mark.slow), "1"])
def test_where_a_gpu_is_needed_a_skipped_test_fails_with_its_reason(tmp_path: Path, workers: str) -> None:
    code, said = pytest_here(tmp_path, "-n", workers, **{VARIABLE: "1"})
    assert code == 1
    assert "1 failed, 1 skipped, 1 error" in said
    assert f"{VARIABLE} is set, but: Skipped: no card in this machine" in said
    assert f"{VARIABLE} is set, but: Skipped: no driver" in said


@pytest.mark.parametrize("value", ["", pytest.param("0", marks=pytest.mark.slow)])
def test_elsewhere_it_is_skipped(tmp_path: Path, value: str) -> None:
    code, said = pytest_here(tmp_path, **{VARIABLE: value})
    assert code == 0
    assert "3 skipped" in said


@pytest.mark.slow
@pytest.mark.parametrize("workers", [pytest.param("0", marks=pytest.mark.slow), "1"])
def test_a_run_without_any_such_test_fails(tmp_path: Path, workers: str) -> None:
    code, said = pytest_here(tmp_path, "-n", workers, "-m", "not gpu", **{VARIABLE: "1"})
    assert code == 1
    assert "no test marked gpu was run" in said
    assert pytest_here(tmp_path, "-m", "not gpu")[0] == 0


def test_no_test_at_all_is_a_failure_too(tmp_path: Path) -> None:
    code, said = pytest_here(tmp_path, "-k", "nothing", **{VARIABLE: "1"})
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "no test marked gpu was run" in said


def test_a_warning_while_cupy_is_imported_is_no_missing_gpu(tmp_path: Path) -> None:
    """Not even if warnings are errors, as in this suite."""
    (tmp_path / "cupy.py").write_text(CUPY, encoding="utf-8")
    ask = "from numlstm.backends.gpu import probe; print(probe.available())"
    for options in ((), ("-W", "error::UserWarning")):
        code, said = run(tmp_path, *options, "-c", ask)
        assert code == 0
        assert "UserWarning: multiple CuPy packages are installed" in said
        assert "no NVIDIA driver was found" in said
        assert "cannot be imported" not in said
    assert "UserWarning" not in run(tmp_path, "-W", "ignore", "-c", ask)[1]


@pytest.mark.slow
def test_this_suite_fails_for_the_same_reason_with_and_without_a_warning(tmp_path: Path) -> None:
    """Runs the backend's own tests with a fake CuPy that finds no driver."""
    (tmp_path / "cupy.py").write_text(CUPY, encoding="utf-8")
    command = ("-m", "pytest", "-p", "no:cacheprovider", "-n", "0", "-m", "gpu", "-rfE")
    test = str(ROOT / "tests/backends/test_generation.py")
    code, said = run(tmp_path, *command, "--rootdir", str(ROOT), test, **{VARIABLE: "1"})
    assert code == 1
    assert "no NVIDIA driver was found" in said
    assert re.search(r"^\d+ deselected,( 1 warning,)? \d+ errors in", said, re.MULTILINE), (
        "no test passed or was skipped"
    )


def test_the_variable_leads_to_no_second_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.folder()
    monkeypatch.setenv(VARIABLE, "1")
    assert cache.folder() == before

"""The cache of compiled kernels: it hits, is never stale, and does no harm where it cannot be written."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from numlstm.backends.cpu import cache

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs file size limits and folder owners")

# Prints each kernel compiled, why it could not be cached if so, and a small kernel's result for each argument.
_SCRIPT = """
import sys
from numlstm.backends import compilation
from numlstm.backends.cpu.jit import kernel

class Listener:
    def begun(self, kernel): pass
    def done(self, kernel, problem): print("compiled", kernel, problem)

compilation.compile_listeners.append(Listener())

@kernel
def half(x):
    return x / 2

@kernel
def quarter(x):
    return half(half(x))

for argument in sys.argv[1:]:
    print("got", quarter(float(argument) if "." in argument else int(argument)))
"""

COMPILED = {"compiled __main__.half ", "compiled __main__.quarter "}
Run = Callable[..., list[str]]


def script(folder: Path, *arguments: str, code: str = _SCRIPT, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    settings = {**os.environ, "NUMLSTM_CACHE_DIR": str(folder), **variables}
    return subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(process: subprocess.Popen[str]) -> list[str]:
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""
    return said.splitlines()


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("kernels-*/*"))


def test_compiled_once_for_each_type(tmp_path: Path) -> None:
    assert set(lines(script(tmp_path, "8"))) == {*COMPILED, "got 2.0"}
    assert lines(script(tmp_path, "8")) == ["got 2.0"]
    first = kept(tmp_path)
    assert len([path for path in first if path.name.startswith("__main__.quarter-")]) == 1
    assert "got 2.125" in lines(script(tmp_path, "8.5"))
    assert lines(script(tmp_path, "8", "8.5")) == ["got 2.0", "got 2.125"]
    assert set(first) < set(kept(tmp_path))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "garbage": lambda data: b"garbage" * 1000,
    "a bit of the code": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "a bit of the checksum": lambda data: bytes([data[0] ^ 1]) + data[1:],
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_code_is_compiled_again(warm: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    shutil.copytree(warm, tmp_path / "c")
    for path in kept(tmp_path / "c"):
        path.write_bytes(damage(path.read_bytes()))
    assert set(lines(script(tmp_path / "c", "8"))) == {*COMPILED, "got 2.0"}
    assert lines(script(tmp_path / "c", "8")) == ["got 2.0"], "not cached again"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that already holds the script's kernels."""
    folder = tmp_path_factory.mktemp("warm")
    lines(script(folder, "8"))
    return folder


@pytest.mark.slow
def test_processes_may_compile_at_once(tmp_path: Path) -> None:
    processes = [script(tmp_path, argument) for argument in ("8", "8", "8.5", "8.5")]
    assert [lines(process)[-1] for process in processes] == ["got 2.0", "got 2.0", "got 2.125", "got 2.125"]
    assert lines(script(tmp_path, "8", "8.5")) == ["got 2.0", "got 2.125"]
    assert not [path for path in kept(tmp_path) if path.suffix == ".tmp"]


@pytest.mark.slow
@posix_only
def test_a_process_waits_for_what_another_compiles(warm: Path, tmp_path: Path) -> None:
    import fcntl

    folder = tmp_path / "c"
    shutil.copytree(warm, folder)
    (place,) = folder.iterdir()
    compiled = [path.rename(tmp_path / path.name) for path in place.iterdir()]
    with contextlib.ExitStack() as claims:
        for path in compiled:
            claim = claims.enter_context(open(place / f"{path.name}.lock", "wb"))
            fcntl.flock(claim, fcntl.LOCK_EX)
        process = script(folder, "8")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=4)
        for path in compiled:
            path.rename(place / path.name)
    times = [(place / path.name).stat().st_mtime_ns for path in compiled]
    assert lines(process)[-1] == "got 2.0"
    assert [(place / path.name).stat().st_mtime_ns for path in compiled] == times, "a kernel was compiled again"


@posix_only
def test_what_cannot_be_kept_is_not_waited_for(settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = settled / "kernel"
    kernel = cache.KernelCache(script, settled)
    monkeypatch.setattr(kernel, "_path", lambda sig, codegen: path)
    assert cache._claim(path)
    kernel.save_overload((), SimpleNamespace(library=SimpleNamespace(has_dynamic_globals=True), codegen=None))
    assert path not in cache._claims
    assert list(settled.iterdir()) == []


@posix_only
def test_a_process_that_waits_too_long_compiles_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cache, "_LONGEST_WAIT", 0.05)
    path = tmp_path / "kernel"
    assert cache._claim(path)
    with monkeypatch.context() as another_process:
        another_process.setattr(cache, "_claims", {})
        assert not cache._claim(path)
    cache._release(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for _ in range(2):
        said = lines(script(tmp_path / "file", "8"))
        assert said[-1] == "got 2.0"
        for line in said[:-1]:
            assert str(tmp_path / "file") in line, "the problem does not name the cache folder"
            assert line.startswith("compiled __main__.")


@pytest.mark.slow
@posix_only
def test_a_full_disk(tmp_path: Path) -> None:
    full = f"""
import resource, signal
signal.signal({int(getattr(signal, "SIGXFSZ", 0))}, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
"""
    said = lines(script(tmp_path, "8", code=full + _SCRIPT, PYTHONDONTWRITEBYTECODE="1"))
    assert said[-1] == "got 2.0"
    assert all("File too large" in line for line in said[:-1])
    assert kept(tmp_path) == [], "a partial file was left behind"


@pytest.mark.slow
def test_a_cache_that_can_only_be_read_is_read(warm: Path, tmp_path: Path) -> None:
    shutil.copytree(warm, tmp_path / "c")
    for path in kept(tmp_path / "c"):
        path.chmod(0o400)
    os.chmod(next((tmp_path / "c").iterdir()), 0o500)
    try:
        assert lines(script(tmp_path / "c", "8")) == ["got 2.0"]
    finally:
        os.chmod(next((tmp_path / "c").iterdir()), 0o700)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The cache folder for the current sources, below the test's temporary folder."""
    monkeypatch.setenv("NUMLSTM_CACHE_DIR", str(tmp_path))
    found = cache.folder()
    assert found is not None
    assert found.parent == tmp_path
    assert cache.folder() == found
    return found


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (cache.numba, "__version__", "99.9"),
        (cache.llvmlite, "__version__", "99.9"),
        (cache.np, "__version__", "99.9"),
        (cache.sys, "version", "99.9"),
        (cache.llvmlite.binding, "get_host_cpu_name", lambda: "abacus"),
        (cache.llvmlite.binding, "get_host_cpu_features", lambda: SimpleNamespace(flatten=lambda: "+beads")),
    ],
    ids=["numba", "llvmlite", "numpy", "Python", "processor", "its features"],
)
def test_another_version_or_processor_has_another_folder(
    settled: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, value: object
) -> None:
    monkeypatch.setattr(owner, name, value)
    assert cache.folder() != settled


def test_settings_have_another_folder_only_if_they_change_the_code(
    settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {settled}
    for name, value in (("NUMLSTM_SIMD", "avx2"), ("NUMLSTM_SIMD", "plain"), ("NUMBA_OPT", "0")):
        with monkeypatch.context() as within:
            within.setenv(name, value)
            found.add(cache.folder() or settled)
    assert len(found) == 4
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    assert cache.folder() == settled


def test_any_change_to_the_sources_has_another_folder(
    settled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("cpu", "spec"):
        source = Path(cache.__file__).parents[1] / name
        shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cpu" / "cache.py"))
    assert cache.folder() == settled, "copied sources have the same folder"
    folders = {settled}
    for changed in ("cpu/simd.py", "spec/variant.py"):
        with open(tmp_path / changed, "a") as file:
            file.write("\n")
        folders.add(cache.folder())
    assert len(folders) == 3
    for name in ("cpu", "spec"):
        shutil.rmtree(tmp_path / name)
    assert cache.folder() is None, "without sources, as in a zip archive, there is no cache"


def test_kernels_use_constants_of_those_sources_alone() -> None:
    """The package's other modules that kernels import hold nothing that becomes machine code."""
    elsewhere = {"errors", "storage", "compilation", "protocol"}
    for path in Path(cache.__file__).parent.glob("*.py"):
        for line in re.findall(r"^from \.\.+(\w+)", path.read_text("utf-8"), re.MULTILINE):
            assert line in {"spec", *elsewhere}, f"{path.name}: {line} is not part of the cache's key"


def test_folders_that_nobody_uses_are_removed(settled: Path) -> None:
    month, beside = 31 * 24 * 3600, settled.parent
    ages = {"kernels-old": month, "kernels-in-use": month, "kernels-young": month - 2 * 24 * 3600, "other": month}
    for name, age in ages.items():
        (beside / name).mkdir()
        (beside / name / "file").touch()
        os.utime(beside / name, (time.time() - age,) * 2)
    cache.mark_as_used(beside / "kernels-in-use")
    cache.mark_as_used(beside / "kernels-absent")
    cache.mark_as_used(None)
    cache._make(settled)
    assert {path.name for path in beside.iterdir()} == {*ages, settled.name} - {"kernels-old"}


class TestRoot:
    """The user's cache folder, which contains all the others."""

    @pytest.fixture(autouse=True)
    def home(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        for name in ("NUMLSTM_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(cache.numba.config, "CACHE_DIR", "")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        return tmp_path

    def test_follows_the_platform(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        monkeypatch.setattr(cache.sys, "platform", "linux")
        assert cache._root() == home / ".cache" / "numlstm"
        monkeypatch.setattr(cache.sys, "platform", "darwin")
        assert cache._root() == home / "Library" / "Caches" / "numlstm"
        monkeypatch.setattr(cache.sys, "platform", "win32")
        assert cache._root() == home / "AppData" / "Local" / "numlstm"

    def test_follows_the_environment(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        monkeypatch.setattr(cache.sys, "platform", "linux")
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
        assert cache._root() == home / "xdg" / "numlstm"
        monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
        assert cache._root() == home / ".cache" / "numlstm"
        monkeypatch.setattr(cache.numba.config, "CACHE_DIR", str(home / "numba"))
        assert cache._root() == home / "numba" / "numlstm"
        monkeypatch.setenv("NUMLSTM_CACHE_DIR", str(home / "ours"))
        assert cache._root() == home / "ours"

    def test_is_temporary_where_there_is_no_home(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        monkeypatch.setattr(cache.sys, "platform", "linux")
        (home / "temporary").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(home / "temporary"))
        (home / "file").touch()
        for path in (home / "file", Path("/dev/null"), Path("relative")):
            monkeypatch.setenv("HOME", str(path))
            assert cache._root().parent == home / "temporary"
            assert not Path("relative").exists()

    @posix_only
    def test_trusts_no_temporary_folder_that_others_can_write_to(
        self, monkeypatch: pytest.MonkeyPatch, home: Path
    ) -> None:
        monkeypatch.setattr(cache.sys, "platform", "linux")
        monkeypatch.setattr(tempfile, "tempdir", str(home))
        monkeypatch.setenv("HOME", "/dev/null")
        mine = cache._root()
        mine.chmod(0o777)
        assert cache._root() == Path("/dev/null/.cache/numlstm"), "this path is not writable, so nothing is cached"
        mine.chmod(0o700)
        assert cache._root() == mine
        mine.rmdir()
        mine.symlink_to(home)
        assert cache._root() != mine

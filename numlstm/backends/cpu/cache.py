"""The on-disk cache of compiled kernels.

Each kernel and combination of argument types has its own file. The folder's name is a hash of everything else that
affects the machine code: the sources in this folder and in `spec`, whose constants kernels use; the versions of Python,
Numba, llvmlite and NumPy; the processor; and environment variables that change the code. So an upgrade or another
machine never finds stale code, and installations side by side do not interfere. Folders unused for a month are removed
when a new one is made. Files are replaced atomically and carry a checksum; a damaged kernel is compiled again.
Processes that need the same kernel at the same time wait for the first one.

Numba's own cache is keyed by a kernel's source file but not by the files it imports, and it crashes on damaged files.
Its index covers all argument types, so two processes at once can make it return the code of one type for another.

A cached kernel is a pickle: whoever can write to the folder can run code as the user who reads it. The folder is
therefore created with access for its owner only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba
import numpy as np
from numba.core.caching import FunctionCache
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

from ...storage import cache_folder
from ...storage.atomic import atomic_replace
from ..compilation import compile_listeners

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_UNUSED_SECONDS = 30 * 24 * 3600.0  # an unused folder is removed after this time
_LONGEST_WAIT = 60.0  # seconds to wait while another process compiles a kernel
_CHECKSUM = 16  # bytes
_claims: dict[Path, int] = {}  # open lock files
_IRRELEVANT_VARIABLES = {
    "NUMLSTM_CACHE_DIR",
    "NUMLSTM_NEED_GPU",
    "NUMBA_CACHE_DIR",
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
}


def folder() -> Path | None:
    """Return the cache folder for the current sources, versions, processor and settings. It may not exist yet.

    None if the sources cannot be read, for instance in a zip archive: stale code could not be detected.
    """
    here = Path(__file__).parent
    sources = [path for folder in (here, here.parent / "spec") for path in sorted(folder.glob("*.py"))]
    if not sources:
        return None
    digest = hashlib.sha256()
    for part in (*(path.read_bytes() for path in sources), *(fact.encode() for fact in _facts())):
        digest.update(hashlib.sha256(part).digest())
    return _root() / f"kernels-{digest.hexdigest()[:20]}"


def _facts() -> list[str]:
    features = ""
    with contextlib.suppress(RuntimeError):  # LLVM does not know the features of every processor
        features = llvmlite.binding.get_host_cpu_features().flatten()
    settings = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith(("NUMBA_", "NUMLSTM_")) and name not in _IRRELEVANT_VARIABLES
    ]
    versions = [sys.version, numba.__version__, llvmlite.__version__, np.__version__]
    return [*versions, llvmlite.binding.get_host_cpu_name(), features, *settings]


def _root() -> Path:
    if numba.config.CACHE_DIR and not os.environ.get("NUMLSTM_CACHE_DIR"):  # type: ignore[attr-defined]
        return Path(numba.config.CACHE_DIR).absolute() / "numlstm"  # type: ignore[attr-defined]
    return cache_folder.folder()


class KernelCache(FunctionCache):
    """The cache that a Numba dispatcher calls before and after it compiles a kernel. Calls the compile listeners."""

    def __init__(self, function: Callable[..., Any], kept_in: Path | None) -> None:
        self._py_func = function  # for Numba's key of a kernel: types, processor, bytecode, closure
        self._folder = kept_in
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        self.enable()

    @property
    def cache_path(self) -> str:
        return str(self._folder or "")

    def flush(self) -> None:
        """Do nothing: the same sources would compile to the same kernels again."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the cached kernel for the types `sig`, or None if it must be compiled.

        Waits while another process compiles it, so two processes that need the same kernels share the work.
        """
        # Numba calls `target_context.refresh()` here, which takes 0.35 s and which only compiling needs.
        rtsys.initialize(target_context)
        path = self._path(sig, target_context.codegen()) if self._folder is not None and self._enabled else None
        found = _load(path, target_context)
        if found is not None:
            return found
        for listener in compile_listeners:
            listener.begun(self._name)
        if path is None or not _claim(path):
            return None
        found = _load(path, target_context)
        if found is not None:  # another process has compiled it
            _release(path)
            for listener in compile_listeners:
                listener.done(self._name, "")
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save a kernel compiled for the types `sig`. Failures are passed to the listeners, not raised."""
        problem = ""
        try:
            self._save(sig, data)
        except Exception as error:  # a kernel that cannot be cached still runs
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
            problem = f"{self._folder or 'the package'}: {reason}"
        finally:  # other processes must not wait for a kernel that could not be cached
            if self._folder is not None:
                _release(self._path(sig, data.codegen))
        for listener in compile_listeners:
            listener.done(self._name, problem)

    def _save(self, sig: Any, compiled: Any) -> None:
        if self._folder is None:
            raise ValueError("its sources cannot be read")
        if compiled.library.has_dynamic_globals:
            raise ValueError(f"{self._name} contains memory addresses, which are invalid in another process")
        if self._enabled:
            _make(self._folder)
            _write(self._path(sig, compiled.codegen), dumps(compiled._reduce()))

    def _path(self, sig: Any, codegen: Any) -> Path:
        assert self._folder is not None
        key = hashlib.sha256(repr(self._index_key(sig, codegen)).encode()).hexdigest()
        name = "".join(c if c.isalnum() or c in "._" else "" for c in self._name)
        return self._folder / f"{name}-{key[:20]}"


def _load(path: Path | None, target_context: Any) -> Any:
    """Return the kernel cached at `path`, or None if there is none or it is damaged."""
    if path is None:
        return None
    try:
        return CompileResult._rebuild(target_context, *pickle.loads(_read(path)))
    except Exception:  # whatever is wrong with the file, the kernel can be compiled again
        return None


def _claim(path: Path) -> bool:
    """Claim the kernel at `path` for this process, waiting while another process has it.

    Return False if the claim fails: the folder is not writable, the system has no such locks, or the other process
    takes too long. Then both compile it, and either result is right. The system drops a process's claims when it ends.
    """
    if fcntl is None or path in _claims:
        return False
    try:
        _make(path.parent)
        file = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        return False
    until = time.monotonic() + _LONGEST_WAIT
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(0.02)
                continue
        except OSError:  # a file system without locks
            pass
        else:
            _claims[path] = file
            return True
        os.close(file)
        return False


def _release(path: Path) -> None:
    """Release the claim on the kernel at `path`, if this process has it."""
    file = _claims.pop(path, None)
    if file is not None:
        with contextlib.suppress(OSError):
            path.with_name(f"{path.name}.lock").unlink()
        os.close(file)


def mark_as_used(kept_in: Path | None) -> None:
    """Set the folder's modification time to now, so that it counts as used. Do nothing for None."""
    if kept_in is not None:
        with contextlib.suppress(OSError):
            os.utime(kept_in)


def _make(path: Path) -> None:
    if path.is_dir():
        return
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for other in path.parent.glob("kernels-*"):
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    if hashlib.blake2b(data[_CHECKSUM:], digest_size=_CHECKSUM).digest() != data[:_CHECKSUM]:
        raise ValueError(f"{path} is damaged")
    return data[_CHECKSUM:]


def _write(path: Path, payload: bytes) -> None:
    with atomic_replace(path, durable=False) as file:
        file.write(hashlib.blake2b(payload, digest_size=_CHECKSUM).digest() + payload)

"""Locate the cache folder: `NUMLSTM_CACHE_DIR` if it is set, otherwise a folder in the user's cache directory."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path


def folder() -> Path:
    """Return the cache folder, which need not exist yet; falls back to a private temporary folder."""
    if os.environ.get("NUMLSTM_CACHE_DIR"):
        return Path(os.environ["NUMLSTM_CACHE_DIR"]).absolute()
    usual = _user_cache() / "numlstm"
    if _can_write(usual):
        return usual
    owner = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    temporary = Path(tempfile.gettempdir()) / f"numlstm{owner}"
    return temporary if _can_write(temporary) and _is_private(temporary) else usual


def _user_cache() -> Path:
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    given = os.environ.get("XDG_CACHE_HOME", "")
    return Path(given) if os.path.isabs(given) else home / ".cache"


def _can_write(path: Path) -> bool:
    if not path.is_absolute():  # no home directory
        return False
    with contextlib.suppress(OSError):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.access(path, os.W_OK | os.X_OK)


def _is_private(path: Path) -> bool:
    """Return True if no other user can have put files into the folder. Its parent may be writable by everyone."""
    if not hasattr(os, "getuid"):
        return True  # on Windows each user has their own temporary folder
    found = os.lstat(path)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022

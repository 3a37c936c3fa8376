"""An atomic write replaces the file completely or leaves everything unchanged."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from numlstm.errors import StorageError
from numlstm.storage import atomic


@pytest.mark.parametrize("durable", [True, False])
def test_the_old_file_stands_until_the_block_ends(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic.atomic_replace(path, durable=durable) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
        assert Path(file.name).parent == tmp_path, "must be in the same folder: a rename cannot cross file systems"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("raised", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError()], ids=repr)
def test_nothing_is_left_of_a_block_that_fails(tmp_path: Path, raised: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write() -> None:
        with atomic.atomic_replace(path) as file:
            file.write(b"ne")
            raise raised

    with pytest.raises(type(raised)):
        write()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("durable", [True, False])
def test_only_a_durable_file_reaches_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("replace"), replace(*paths)))
    with atomic.atomic_replace(tmp_path / "file", durable=durable) as file:
        file.write(b"x")
    expected = ["sync", "replace", *(["sync"] if os.name == "posix" else [])]  # the folder is synced too
    assert done == (expected if durable else ["replace"])


@pytest.mark.skipif(os.name != "posix", reason="needs links and permissions as POSIX has them")
def test_a_link_is_followed_and_permissions_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    with atomic.atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new", 0o640)


def test_an_error_says_what_became_of_the_earlier_file(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        with pytest.raises(StorageError) as caught, atomic.atomic_write(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        said.append(str(caught.value))

    said: list[str] = []
    write(tmp_path / "new")
    (tmp_path / "old").write_bytes(b"old")
    write(tmp_path / "old")
    assert "No space left on device; nothing was written" in said[0]
    assert "No space left on device; the existing file is unchanged" in said[1]


@pytest.mark.parametrize("name", ["folder", "folder/", "/dev/null"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    path = name if name.startswith("/") else f"{tmp_path}/{name}"
    if name == "/dev/null" and not os.path.exists(path):
        pytest.skip("needs /dev/null")
    with pytest.raises(StorageError, match="expected"):
        atomic.check_output(path, overwrite=True)


def test_an_output_is_checked_before_hours_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file"
    atomic.check_output(path, overwrite=False)
    assert os.listdir(path.parent) == [], "only its folder is created"
    path.write_bytes(b"old")
    with pytest.raises(StorageError, match="exists; use `overwrite` to replace it"):
        atomic.check_output(path, overwrite=False)
    with pytest.raises(StorageError, match="exists, so go away"):
        atomic.check_output(path, overwrite=False, advice=", so go away")
    atomic.check_output(path, overwrite=True)

    def full(self: Path, **more: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(StorageError, match="Read-only file system; name another"):
        atomic.check_output(path, overwrite=True)
    assert path.read_bytes() == b"old"

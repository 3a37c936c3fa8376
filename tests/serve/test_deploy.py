"""The files in `deploy/` match the package: their commands are valid, and the files that they name exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.test_docs import refused

DEPLOY = Path(__file__).parents[2] / "deploy"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile as pairs of name and arguments."""
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]  # type: ignore[misc]


def test_the_containers_command_is_one_that_numlstm_takes():
    (command,) = (re.findall(r'"([^"]+)"', given) for name, given in instructions() if name == "CMD")
    assert command[0] == "numlstm"
    assert refused(command[1:]) == ""
    assert "--host" in command


def test_the_container_runs_as_nobody_in_particular():
    names = [name for name, _ in instructions()]
    users = [given for name, given in instructions() if name == "USER"]
    assert users
    assert "root" not in users
    assert names.index("USER") < names.index("CMD")


def test_what_the_container_is_built_of_is_let_in():
    """The ignore file excludes everything and then lists exceptions."""
    first, *kept = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").split()
    assert first == "*"
    for name in kept:
        assert name.startswith("**") or (DEPLOY.parent / name.removeprefix("!")).exists()
    wheel = (DEPLOY.parent / "pyproject.toml").read_text("utf-8")
    for name in ("numlstm", "corpus", "models", "README.md", "LICENSE"):
        assert f"!{name}" in kept
        assert name in wheel


def unit(name: str) -> list[str]:
    """Return the values of a setting in the systemd unit."""
    return re.findall(rf"^{name}=(.*)$", (DEPLOY / "numlstm.service").read_text("utf-8"), re.MULTILINE)


def test_the_services_command_is_one_that_numlstm_takes():
    program, *arguments = shlex.split(unit("ExecStart")[0])
    assert Path(program).name == "numlstm"
    assert refused(arguments) == ""
    assert unit("DynamicUser") == ["yes"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_reads_the_service(tmp_path):
    """The program is replaced by /bin/true, because it may not be installed at that path."""
    program = shlex.split(unit("ExecStart")[0])[0]
    there = tmp_path / "numlstm.service"
    there.write_text((DEPLOY / "numlstm.service").read_text("utf-8").replace(program, "/bin/true"), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", there], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    there.write_text(there.read_text("utf-8").replace("ProtectHome=yes", "ProtectHome=perhaps"), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", there], capture_output=True, text=True, timeout=60)
    assert "protect home" in done.stderr.lower()

"""The commands in docs/serve.md work against a running server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.documents import WITH_THE_SERVER, Block, blocks, read

SERVED = [block for block in blocks(read("docs/serve.md")) if block.mark == WITH_THE_SERVER]
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server for the tests of this module; yield its address."""
    folder: Path = tmp_path_factory.mktemp("served")
    words = [sys.executable, "-m", "numlstm", "serve", "--port", "0", "--device", "reference"]
    with subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stderr)))
        yield found[0]
        process.terminate()
        process.stderr.read()


@pytest.mark.slow
@pytest.mark.parametrize("block", SERVED, ids=lambda block: f"line {block.line}")
def test_it_answers_as_told(block: Block, address: str) -> None:
    assert ADDRESS in block.text
    text = block.text.replace(ADDRESS, address)
    if block.language == "python":
        words = [sys.executable, "-c", text]
    else:
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        words = ["sh", "-e", "-c", text.replace("curl -s", "curl -sS --fail-with-body --noproxy '*'")]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    assert '"error": {' not in done.stdout


def test_there_is_something_to_type() -> None:
    assert {block.language for block in SERVED} == {"sh", "python"}

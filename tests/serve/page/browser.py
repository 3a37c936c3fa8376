"""A real browser and real servers for the tests of the web page.

The page may send requests to its own server only, and must not log errors: `Visit` checks both.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 20_000  # milliseconds: enough for a slow machine


def chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def browsing() -> Iterator[Any]:
    """Yield a running browser; skip the tests if none is installed."""
    reason = "playwright is not installed (the extra `test`)"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    path = chromium()
    if path is None:
        pytest.skip(f"no browser is installed; expected one of {', '.join(NAMES)}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@contextlib.contextmanager
def serving(folder: Path, *more: str, port: int = 0) -> Iterator[str]:
    """Run `numlstm serve` on a folder with the reference backend until the block ends; yield its address."""
    command = [sys.executable, "-m", "numlstm", "serve", "--models", str(folder), "--port", str(port)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--device", "reference", *more],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder.parent,
    ) as process:
        assert process.stderr is not None
        lines: list[str] = []
        found = None
        for line in process.stderr:
            lines.append(line)
            found = re.search(r"http://\S+", line)
            if found:
                break
        assert found, "".join(lines)
        threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True).start()
        try:
            yield found[0] + "/"
        finally:
            process.terminate()
            process.wait(30)
    assert not [line for line in lines if "Traceback" in line], "".join(lines)


class Visit:
    """A page in a new browser context, with its requests and logged errors; `refused` lists expected error statuses."""

    def __init__(self, browser: Any, server: str, *, refused: tuple[int, ...] = (), **context: Any) -> None:
        self.server, self.refused = server, refused
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.context = browser.new_context(**{"locale": "en-GB", "reduced_motion": "reduce", **context})
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: Any) -> None:
        known = any(f"status of {status}" in message.text for status in self.refused)
        if message.type in ("error", "warning") and not known:
            self.complaints.append(message.text)

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.context.close()
        if kind is None:
            assert not self.complaints
            hosts = {urlsplit(url).netloc for url in self.asked if urlsplit(url).scheme not in ("data", "blob")}
            assert hosts == {urlsplit(self.server).netloc}


def flaws(page: Any) -> list[str]:
    """Return the serious and critical accessibility violations that axe-core finds on the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    # axe is evaluated, not added as a script element, which the page's content security policy would block.
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:120]}: {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]

"""A local web server for download tests, with given files and faults."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import Any


class Site:
    """The content of the server: `files` and `faults` by path, and `asked`, the requested paths in order.

    A fault is "truncated" (half of the announced bytes), "stalled" (half, then nothing), a status such as 404, a path
    to redirect to, or "gone" (the connection is closed at once).
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, Any] = {}
        self.asked: list[str] = []
        self.over = threading.Event()

    def url(self, path: str) -> str:
        return self.address + path


@contextlib.contextmanager
def serving() -> Iterator[Site]:
    """Context manager: run a server and yield its `Site`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.site = site = Site(server.server_address[1])  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        site.asked.append(self.path)
        fault, data = site.faults.get(self.path), site.files.get(self.path)
        if fault == "gone":
            self.connection.close()
        elif isinstance(fault, str) and fault.startswith("/"):
            self.send_response(302)
            self.send_header("Location", fault)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif isinstance(fault, int) or data is None:
            self.send_error(fault if isinstance(fault, int) else 404)
        else:
            self._send(data, fault, site)

    def _send(self, data: bytes, fault: str | None, site: Site) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if fault is None else data[: len(data) // 2])
        self.wfile.flush()
        if fault == "stalled":
            site.over.wait(30)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, OSError, ValueError):
            super().handle()

    def log_message(self, *args: object) -> None:
        """Print no log; tests read `asked`."""

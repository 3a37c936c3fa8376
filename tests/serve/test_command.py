"""`numlstm serve`: its options, the address it prints, and how it stops."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import socket
import sys
import time
import types

import httpx
import pytest
from typer.testing import CliRunner

from numlstm.cli import app, serve
from numlstm.errors import ConfigError
from numlstm.serve.page import files
from numlstm.settings.amounts import parse_size
from tests.serve.waiting import until

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs signals")


def run(*options, **variables):
    done = CliRunner().invoke(app, ["serve", *options], env={"NO_COLOR": "1", "COLUMNS": "160", **variables})
    return done.exit_code, done.stderr + done.stdout


@pytest.fixture
def started(monkeypatch):
    """Replace the server by a list that collects the settings it would start with."""
    found = []
    monkeypatch.setattr(serve, "_run", lambda settings, listening: (found.append(settings), listening.close()))
    return found


class TestOptions:
    def test_every_setting_has_one(self, started, tmp_path):
        code, said = run(
            "--models", str(tmp_path), "--host", "localhost", "--port", "0", "--no-train", "--device", "reference",
            "--precision", "int8",
            "--threads", "1", "--memory", "1.5GB", "--max-body", "64kB", "--max-upload", "1G", "--max-prompt", "5",
            "--max-tokens", "6", "--max-texts", "7", "--max-seconds", "8.5", "--max-jobs", "9",
            "--allow-origin", "https://a.example/", "--allow-origin", "http://B.example",
            NUMLSTM_API_KEY="secret",
        )  # fmt: skip
        assert code == 0, said
        (settings,) = started
        assert {**vars(settings)} == {
            "models": tmp_path, "host": "localhost", "port": 0, "api_key": "secret", "train": False,
            "precision": "int8", "device": "reference", "threads": 1,
            "memory": 3 * 2**29, "max_body": 2**16, "max_upload": 2**30,
            "max_prompt": 5, "max_tokens": 6, "max_texts": 7, "max_seconds": 8.5, "max_jobs": 9,
            "allow_origins": ("https://a.example", "http://b.example"),
        }  # fmt: skip

    def test_nothing_given_is_as_the_settings_say(self, started):
        from numlstm.serve.server_settings import Settings

        assert run("--port", "0")[0] == 0
        assert started == [Settings(port=0)]

    def test_the_key_is_not_shown(self):
        code, said = run("--help", NUMLSTM_API_KEY="very-secret")
        assert code == 0
        assert "NUMLSTM_API_KEY" in said
        assert "very-secret" not in said

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (["--host", "0.0.0.0"], "numlstm: --host 0.0.0.0 accepts connections from other machines,"),
            (
                ["--models", __file__],
                f"numlstm: --models {__file__} is not a folder; expected a folder",
            ),
            (["--memory", "much"], "numlstm: --memory is 'much'; expected a size such as 500MB or 2GB"),
            (["--max-tokens", "0"], "numlstm: --max-tokens is 0; expected at least 1"),
            (["--precision", "int4"], "numlstm: --precision is 'int4'; expected float32 or bf16 or int8"),
            (["--port", "70000"], "numlstm: --port is 70000; expected 0 to 65535"),
            (
                ["--host", "no.such.host.invalid", "--api-key", "k"],
                "numlstm: --host is 'no.such.host.invalid'; expected",
            ),
            (["--host", "192.0.2.1", "--api-key", "k", "--port", "0"], "numlstm: cannot listen on 192.0.2.1 port 0:"),
            (["--port", "0", "--device", "abacus"], "numlstm: "),
            (
                ["--allow-origin", "example.org"],
                "numlstm: --allow-origin is 'example.org'; expected the address of a site",
            ),
            (
                ["--allow-origin", "https://a.b/c"],
                "numlstm: --allow-origin is 'https://a.b/c'; expected the address of a site",
            ),
        ],
    )
    def test_what_is_wrong_is_one_line(self, options, line):
        code, said = run(*options)
        assert code == 1
        assert said.startswith(line)
        assert said.count("\n") == 1

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            code, said = run("--port", str(taken.getsockname()[1]))
        assert code == 1
        assert re.fullmatch(
            r"numlstm: cannot listen on 127\.0\.0\.1 port \d+: .*choose another --port or --host\n", said
        )

    def test_without_the_extra(self, monkeypatch):
        for name in ("numlstm.serve.app", "uvicorn"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, "uvicorn", None)
        code, said = run("--port", "0")
        assert code == 1
        assert said == "numlstm: the server needs uvicorn, which is not installed: pip install 'numlstm[serve]'\n"


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("64kB", 2**16), ("1.5 GB", 3 * 2**29), ("2GiB", 2**31), ("3M", 3 << 20), ("1T", 2**40)],
)
def test_sizes(text, size):
    assert parse_size("--memory", text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "5 bananas", "1 000", "0x10", "٣GB"])
def test_what_is_no_size(text):
    with pytest.raises(ConfigError, match="expected a size"):
        parse_size("--memory", text)


class TestStopping:
    @POSIX
    @pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
    def test_with_open_streams(self, serve_process, number):
        server = serve_process("--max-tokens", "10000000")
        body = {"model": "tiny", "prompt": "The ", "max_tokens": 10_000_000, "stream": True}
        with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=30) as answer:
            lines = answer.iter_lines()
            next(lines)
            began = time.monotonic()
            assert server.end(number) == 0
            assert time.monotonic() - began < 10
            *_, last = (line for line in lines if line)
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "stopping"  # not a stream that is cut off
        assert server.said.splitlines() == [f"serving at {server.url} (Ctrl-C stops)", "stopped"]

    @POSIX
    @pytest.mark.slow
    def test_with_an_upload_that_takes_its_time(self, serve_process):
        server = serve_process()
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"PUT /v1/models/a/file HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nPK")
            until(lambda: len([*server.folder.iterdir()]) == 2)  # it is being received
            began = time.monotonic()
            assert server.end() == 0
            assert time.monotonic() - began < 10
        assert "Traceback" not in server.said
        assert [path.name for path in server.folder.iterdir()] == ["tiny.npz"]

    @POSIX
    @pytest.mark.slow
    def test_with_an_idle_connection(self, serve_process):
        server = serve_process()
        with httpx.Client(base_url=server.url) as client:
            client.get("/health")
            began = time.monotonic()
            assert server.end() == 0
            assert time.monotonic() - began < 10

    @POSIX
    @pytest.mark.slow
    def test_killed_while_it_writes(self, serve_process, models):
        before = {path: path.read_bytes() for path in models.iterdir()}
        server = serve_process("--max-tokens", "10000000")
        body = {"model": "tiny", "prompt": "The ", "max_tokens": 10_000_000, "stream": True}
        with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=30) as answer:
            next(answer.iter_lines())
            assert server.end(signal.SIGKILL) == -signal.SIGKILL
        again = serve_process()
        assert httpx.post(f"{again.url}/v1/completions", json={"model": "tiny"}, timeout=30).status_code == 200
        assert {path: path.read_bytes() for path in models.iterdir()} == before


def test_the_page_s_files_are_in_the_package():
    assert (files.FOLDER / "index.html").is_file()


def test_pieces_of_a_text_are_not_kept_back():
    """asyncio sets TCP_NODELAY only on sockets with an explicit protocol; without it, TCP delays writes by 40 ms."""
    from numlstm.serve.server_settings import Settings

    with serve._listening(Settings(port=0)) as listening:
        assert listening.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:80 (Ctrl-C stops)\n"),
        ("::1", "http://[::1]:80 (Ctrl-C stops)\n"),
        ("0.0.0.0", "http://localhost:80, and from other machines at http://harbour:80 (Ctrl-C stops)\n"),
        ("::", "http://localhost:80, and from other machines at http://harbour:80 (Ctrl-C stops)\n"),
    ],
)
def test_the_printed_address_opens(
    host: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = importlib.import_module("numlstm.cli.serve")
    monkeypatch.setattr(command.socket, "gethostname", lambda: "harbour")
    listening = types.SimpleNamespace(getsockname=lambda: (host, 80))
    command._tell(host, [listening])
    assert capsys.readouterr().err == f"serving at {expected}"

"""`numlstm serve`: start the HTTP server and its web page."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BackendError, ConfigError
from ..serve.server_settings import MB, Settings
from ..settings.amounts import parse_size
from .shared.options import Device, Precision, Threads

if TYPE_CHECKING:
    import uvicorn

_ACCESS, _LIMITS = "Access", "Limits"
_BACKLOG = 512  # connections waiting to be accepted
_LEAVING = 3  # seconds that open requests may take to finish when the server stops


def _limit(text: str, name: str, metavar: str | None = None) -> Any:
    return typer.Option(f"--{name}", metavar=metavar, help=text, rich_help_panel=_LIMITS)


def _size(name: str) -> str:
    return f"{getattr(Settings, name) // MB}MB"


def serve(
    models: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for models, jobs and texts; created when needed.")
    ] = Settings.models,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. The default is reachable only from this machine; [bold]0.0.0.0[/bold] lets "
            "other machines connect and requires a key.",
            rich_help_panel=_ACCESS,
        ),
    ] = Settings.host,
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0: any free port.", rich_help_panel=_ACCESS)
    ] = Settings.port,
    api_key: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            envvar="NUMLSTM_API_KEY",
            help="Only answer clients that send this key.",
            show_default=False,
            rich_help_panel=_ACCESS,
        ),
    ] = "",
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Allow the web pages of another site, such as https://example.org, to call the server. May be given "
            "several times.",
            show_default=False,
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    no_train: Annotated[
        bool,
        typer.Option(
            "--no-train", help="Serve the folder read-only: no jobs, uploads or deletions.", rich_help_panel=_ACCESS
        ),
    ] = False,
    precision: Precision = Settings.precision,
    device: Device = "auto",
    threads: Threads = None,
    memory: Annotated[str, _limit("Maximum memory of loaded models.", "memory", "SIZE")] = _size("memory"),
    max_body: Annotated[str, _limit("Maximum size of a request.", "max-body", "SIZE")] = _size("max_body"),
    max_upload: Annotated[str, _limit("Maximum size of a model or text.", "max-upload", "SIZE")] = _size("max_upload"),
    max_prompt: Annotated[int, _limit("Maximum tokens in a prompt.", "max-prompt")] = Settings.max_prompt,
    max_tokens: Annotated[int, _limit("Maximum tokens in a text.", "max-tokens")] = Settings.max_tokens,
    max_texts: Annotated[int, _limit("Maximum texts written at once.", "max-texts")] = Settings.max_texts,
    max_seconds: Annotated[float, _limit("Maximum seconds for a text.", "max-seconds")] = Settings.max_seconds,
    max_jobs: Annotated[int, _limit("Maximum jobs, finished ones included.", "max-jobs")] = Settings.max_jobs,
) -> None:
    """Start a server with a web page to train models and write text.

    It offers an OpenAI-compatible API for the models in the folder and those
    that ship with numlstm; see the page and [bold]docs/serve.md[/bold] for the rest. Ctrl-C
    stops it. Needs FastAPI and other packages: [bold]pip install 'numlstm\\[serve]'[/bold]

    Examples:

    [bold]numlstm serve[/bold]

    [bold]numlstm serve --models ~/lstm --port 8080 --no-train[/bold]

    [bold]NUMLSTM_API_KEY=secret numlstm serve --host 0.0.0.0[/bold]
    """
    settings = Settings(
        models=models,
        host=host,
        port=port,
        api_key=api_key,
        train=not no_train,
        precision=precision,
        device=device,
        threads=threads,
        memory=parse_size("--memory", memory),
        max_body=parse_size("--max-body", max_body),
        max_upload=parse_size("--max-upload", max_upload),
        max_prompt=max_prompt,
        max_tokens=max_tokens,
        max_texts=max_texts,
        max_seconds=max_seconds,
        max_jobs=max_jobs,
        allow_origins=tuple(map(_origin, allow_origin or ())),
    )
    with _listening(settings) as listening:
        _run(settings, listening)


def _origin(given: str) -> str:
    found = re.fullmatch(r"(https?://[^/\s]+)/?", given)
    if found is None:
        raise ConfigError(f"--allow-origin is {given!r}; expected the address of a site, such as https://example.org")
    return found[1].lower()  # browsers send origins in lower case


def _listening(settings: Settings) -> socket.socket:
    """Return a listening socket. Raises `ConfigError` if the address cannot be used."""
    where = f"{settings.host} port {settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        # Unlike `socket.create_server`, pass the protocol: asyncio then sets TCP_NODELAY and sends each piece of a text
        # at once, which TCP would otherwise delay by 40 ms.
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # to reuse a freed port; Windows would share a used one
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
        return listening
    except socket.gaierror as error:
        raise ConfigError(
            f"--host is {settings.host!r}; expected an address of this machine: {error.strerror}"
        ) from error
    except PermissionError as error:
        raise ConfigError(f"{where} is reserved for administrators; expected a --port of 1024 or above") from error
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {where}: {error.strerror}; stop the program that uses it, or choose another --port or "
            "--host"
        ) from error


def _run(settings: Settings, listening: socket.socket) -> None:
    server = _server(settings)
    _log_to_stderr()
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn replaces these handlers and restores them at its end
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    server.run(sockets=[listening])
    print("stopped", file=sys.stderr)


def _server(settings: Settings) -> uvicorn.Server:
    """Return the server, ready to run on listening sockets."""
    # NumPy reads this when it is imported. Its products are small here, and waking other cores would take longer.
    chosen = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = chosen or str(max(1, settings.threads or 1))
    try:
        import uvicorn

        from ..serve.app import create_app
        from ..serve.http.connections import Connection

        if chosen is None:
            del os.environ["OPENBLAS_NUM_THREADS"]  # training processes must not inherit it
    except ModuleNotFoundError as error:
        raise BackendError(
            f"the server needs {error.name}, which is not installed: pip install 'numlstm[serve]'"
        ) from error
    app = create_app(settings)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            _tell(settings.host, sockets or [])

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await app.state.stop()  # first, so that open streams end by themselves and give the reason
            await super().shutdown(sockets)

    return Server(
        uvicorn.Config(
            app,
            http=Connection,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_LEAVING,
        )
    )


def _tell(host: str, sockets: Sequence[socket.socket]) -> None:
    port = sockets[0].getsockname()[1]
    if host in ("0.0.0.0", "::"):
        where = f"http://localhost:{port}, and from other machines at http://{socket.gethostname()}:{port}"
    else:
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"serving at {where} (Ctrl-C stops)", file=sys.stderr, flush=True)


def _log_to_stderr() -> None:
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("numlstm: %(message)s"))
    for name in ("uvicorn.error", "numlstm.serve"):  # errors only; the metrics cover requests
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.ERROR)
        logger.propagate = False

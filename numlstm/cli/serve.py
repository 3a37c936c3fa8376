"""`numlstm serve`: the server, with the web page."""

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
from .shared.options import Device, Threads

if TYPE_CHECKING:
    import uvicorn

_ACCESS, _LIMITS = "Who is let in", "Limits"
_BACKLOG = 512  # connections that wait to be accepted
_LEAVING = 3  # seconds that requests under way have to end when the server is stopped


def _limit(text: str, name: str, metavar: str | None = None) -> Any:
    return typer.Option(f"--{name}", metavar=metavar, help=text, rich_help_panel=_LIMITS)


def _size(name: str) -> str:
    return f"{getattr(Settings, name) // MB}MB"


def serve(
    models: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of models, jobs and texts; made when it is needed.")
    ] = Settings.models,
    host: Annotated[
        str,
        typer.Option(
            help="Where to listen: this machine alone, or [bold]0.0.0.0[/bold] for others too, which needs a key.",
            rich_help_panel=_ACCESS,
        ),
    ] = Settings.host,
    port: Annotated[int, typer.Option(help="0: one that is free.", rich_help_panel=_ACCESS)] = Settings.port,
    api_key: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            envvar="NUMLSTM_API_KEY",
            help="Answer only to those who know this.",
            show_default=False,
            rich_help_panel=_ACCESS,
        ),
    ] = "",
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Let the pages of another site in, such as https://example.org; may be given several times.",
            show_default=False,
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    no_train: Annotated[
        bool,
        typer.Option(
            "--no-train", help="Serve the folder as it is: no jobs, uploads or deletions.", rich_help_panel=_ACCESS
        ),
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
    memory: Annotated[str, _limit("What models may take in memory.", "memory", "SIZE")] = _size("memory"),
    max_body: Annotated[str, _limit("The largest request.", "max-body", "SIZE")] = _size("max_body"),
    max_upload: Annotated[str, _limit("The largest model or text.", "max-upload", "SIZE")] = _size("max_upload"),
    max_prompt: Annotated[int, _limit("Tokens of a prompt.", "max-prompt")] = Settings.max_prompt,
    max_tokens: Annotated[int, _limit("Tokens of a text.", "max-tokens")] = Settings.max_tokens,
    max_texts: Annotated[int, _limit("Texts that are written at once.", "max-texts")] = Settings.max_texts,
    max_seconds: Annotated[float, _limit("Seconds that a text may take.", "max-seconds")] = Settings.max_seconds,
    max_jobs: Annotated[int, _limit("Training jobs that run, wait or rest.", "max-jobs")] = Settings.max_jobs,
) -> None:
    """Serve models, and a web page to train and write in.

    The API is OpenAI's, for models of the folder and those that ship; the page and [bold]docs/serve.md[/bold] say what
    else there is. Ctrl-C stops. Needs FastAPI and more: [bold]pip install 'numlstm\\[serve]'[/bold]

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
        raise ConfigError(f"--allow-origin is {given!r}; expected where a page is, such as https://example.org")
    return found[1].lower()  # as browsers send it


def _listening(settings: Settings) -> socket.socket:
    """Return a socket that listens; raises `ConfigError` if there can be none."""
    where = f"{settings.host} port {settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        # With the protocol, which `socket.create_server` leaves out: asyncio then sends each piece of a text at once,
        # where TCP would keep it back for 40 ms.
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # a port that a server left a moment ago; elsewhere it would mean a port in use
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
        raise ConfigError(f"{where} is not for ordinary users; expected a --port from 1024 on") from error
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {where}: {error.strerror}; end what listens there, or use another --port or --host"
        ) from error


def _run(settings: Settings, listening: socket.socket) -> None:
    server = _server(settings)
    _log_to_stderr()
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn takes them over, and hands them back when all is done
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    server.run(sockets=[listening])
    print("stopped", file=sys.stderr)


def _server(settings: Settings) -> uvicorn.Server:
    """Return the server, ready to run on sockets that listen."""
    # Read as NumPy is imported. Its products are small here: waking other cores for them would take longer.
    chosen = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = chosen or str(max(1, settings.threads or 1))
    try:
        import uvicorn

        from ..serve.app import create_app
        from ..serve.http.connections import Connection

        if chosen is None:
            del os.environ["OPENBLAS_NUM_THREADS"]  # which is for writing, and not for the processes that train
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
            await app.state.stop()  # first, so that streams end by themselves, and say why
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
    named = f"[{host}]" if ":" in host else host
    print(f"serving at http://{named}:{port} (Ctrl-C stops)", file=sys.stderr, flush=True)


def _log_to_stderr() -> None:
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("numlstm: %(message)s"))
    for name in ("uvicorn.error", "numlstm.serve"):  # what fails; of requests the metrics tell
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.ERROR)
        logger.propagate = False

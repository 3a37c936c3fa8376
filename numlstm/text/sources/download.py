"""Download one file, completely or not at all, and report a failure in one line.

`pooch` does the work.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...errors import CorpusError

Progress = Callable[[int, int], None]
"""Progress callback: called with the bytes received so far and their total (0 if unknown)."""

STALLED_SECONDS = 30.0
LARGEST = 256 << 20  # bytes of one file: an endless response must not fill the disk

# Not compressed in transit, so that the file's length matches the Content-Length header. Wikimedia's servers reject
# requests without a User-Agent.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "numlstm (a program that downloads a text once, for its user)"}


class Unreachable(CorpusError):
    """Nothing answered at a file's URL: there may be no network."""


class WrongChecksum(CorpusError):
    """A file arrived complete, but its checksum is not the expected one."""


def download(
    url: str,
    to: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    on_progress: Progress | None = None,
    timeout: float = STALLED_SECONDS,
) -> None:
    """Download the file at `url` to the new file `to`, which appears only when it is complete.

    `timeout` is the longest wait for data, in seconds. Raises `Unreachable` if nothing answers, `WrongChecksum` if
    `sha256` is given and differs, and `CorpusError` if the server refuses, stalls or stops too early, or if the number
    of bytes is not `size`.
    """
    import pooch
    import requests

    fetcher = _Fetcher(size, on_progress, timeout)
    hashed = f"sha256:{sha256}" if sha256 else None
    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(url, known_hash=hashed, fname=to.name, path=to.parent, downloader=fetcher)
    except requests.exceptions.HTTPError as error:
        said = " ".join(str(getattr(error.response, name, "")) for name in ("status_code", "reason"))
        raise CorpusError(
            f"{url} cannot be downloaded: the server answered {said}; expected the file; try again later, or download "
            "it by hand and give the file"
        ) from None
    except requests.exceptions.Timeout:
        raise _broken(url, f"no data arrived for {timeout:g} seconds") from None
    except requests.exceptions.ChunkedEncodingError:
        raise _broken(url, "the connection closed too early") from None
    except requests.exceptions.ConnectionError as error:
        if "timed out" in str(error).lower():  # how requests reports a read that stalls
            raise _broken(url, f"no data arrived for {timeout:g} seconds") from None
        raise Unreachable(f"{url} cannot be reached ({_reason(error)})") from None
    except requests.exceptions.RequestException as error:
        raise _broken(url, _one_line(error)) from None
    except ValueError as error:  # how pooch reports a wrong checksum
        if sha256 is None:
            raise _broken(url, _one_line(error)) from None
        raise WrongChecksum(f"the checksum of {url} is not the expected {sha256[:16]}…") from None


class _Fetcher:
    """A downloader for pooch that also checks the length of the file."""

    def __init__(self, size: int | None, on_progress: Progress | None, timeout: float) -> None:
        self.size, self.on_progress, self.timeout = size, on_progress, timeout

    def __call__(self, url: str, output_file: Any, pooch_: Any, check_only: bool = False) -> None:
        import pooch

        bar = _ProgressAdapter(url, output_file, self.on_progress)
        answers: list[Any] = []
        hooks = {"response": lambda answer, *more, **settings: answers.append(answer)}
        settings = {"headers": _HEADERS, "timeout": self.timeout, "hooks": hooks}
        try:
            pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 14, **settings)(url, output_file, pooch_)
        finally:
            for answer in answers:  # pooch leaves the connection open on failure
                answer.close()
        got = os.path.getsize(output_file)
        if bar.total and got != bar.total:
            raise _broken(url, f"{got:,} of {bar.total:,} bytes received")
        if self.size is not None and got != self.size:
            raise CorpusError(
                f"{url} has {got:,} bytes; expected {self.size:,}: it was replaced on the server; download the text by "
                "hand and give the file"
            )


class _ProgressAdapter:
    """A progress bar for pooch. It reads the size of the file, as chunks may be shorter than pooch reports."""

    total = 0

    def __init__(self, url: str, path: Any, on_progress: Progress | None) -> None:
        self.url, self.path, self.on_progress = url, path, on_progress

    def update(self, size: int) -> None:
        done = os.path.getsize(self.path)
        if done > LARGEST:
            raise CorpusError(f"{self.url} is larger than {LARGEST >> 20} MB; expected a text; download it by hand")
        if self.on_progress:
            self.on_progress(done, self.total)

    def reset(self) -> None:
        """Do nothing: `update` reads the size of the file."""

    def close(self) -> None:
        """Do nothing: the callback may have more files to report."""


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Context manager: silence pooch's log messages, since the caller reports the download."""
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _broken(url: str, reason: str) -> CorpusError:
    return CorpusError(f"{url} could not be downloaded completely: {reason}; nothing was saved; try again")


def _reason(error: Exception) -> str:
    text = str(error)
    if "resolve" in text.lower() or "getaddrinfo" in text:
        return "its host name cannot be resolved: there may be no network"
    if "refused" in text.lower():
        return "the connection was refused"
    if "CERTIFICATE" in text.upper():
        return "its certificate is not trusted here"
    return "there may be no network"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(symbol if symbol.isprintable() else "?" for symbol in text[:200])

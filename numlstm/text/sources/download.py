"""Download one file, whole or not at all, and say in one line what went wrong if it does.

`pooch` does the work. Knows nothing about the catalogue, or where files are kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...errors import CorpusError

Told = Callable[[int, int], None]
"""Is told how many bytes are there, and of how many (0: that is not known)."""

STALLED_SECONDS = 30.0
LARGEST = 256 << 20  # bytes of one file: a server that never ends must not fill the disk

# As it is, not compressed on the way: only then its length is that which the server names. Wikimedia's servers turn
# away who does not say who they are.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "numlstm (a program that downloads a text once, for its user)"}


class Unreachable(CorpusError):
    """Nothing answered at a file's address: there is perhaps no network."""


class WrongChecksum(CorpusError):
    """A file came whole, but is not the one that was expected."""


def download(
    url: str,
    to: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    told: Told | None = None,
    timeout: float = STALLED_SECONDS,
) -> None:
    """Write the file at `url` to the new file `to`, which appears only when it is whole.

    `timeout` is the longest, in seconds, that nothing may come. Raises `Unreachable` if nothing answers,
    `WrongChecksum` if `sha256` is given and differs, and `CorpusError` if the server refuses, stalls or ends too early,
    or sends another number of bytes than `size`.
    """
    import pooch
    import requests

    fetcher = _Fetcher(size, told, timeout)
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
        raise _broken(url, f"nothing came for {timeout:g} seconds") from None
    except requests.exceptions.ChunkedEncodingError:
        raise _broken(url, "the connection broke off before its end") from None
    except requests.exceptions.ConnectionError as error:
        if "timed out" in str(error).lower():  # requests names a read that stalls so
            raise _broken(url, f"nothing came for {timeout:g} seconds") from None
        raise Unreachable(f"{url} cannot be reached ({_reason(error)})") from None
    except requests.exceptions.RequestException as error:
        raise _broken(url, _one_line(error)) from None
    except ValueError as error:  # how pooch says that the checksum differs
        if sha256 is None:
            raise _broken(url, _one_line(error)) from None
        raise WrongChecksum(f"{url} has another checksum than the expected {sha256[:16]}…") from None


class _Fetcher:
    """What pooch calls to fetch a file; it checks the length, which pooch does not."""

    def __init__(self, size: int | None, told: Told | None, timeout: float) -> None:
        self.size, self.told, self.timeout = size, told, timeout

    def __call__(self, url: str, output_file: Any, pooch_: Any, check_only: bool = False) -> None:
        import pooch

        bar = _Bar(url, output_file, self.told)
        answers: list[Any] = []
        hooks = {"response": lambda answer, *more, **settings: answers.append(answer)}
        settings = {"headers": _HEADERS, "timeout": self.timeout, "hooks": hooks}
        try:
            pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 14, **settings)(url, output_file, pooch_)
        finally:
            for answer in answers:  # pooch leaves the connection open where it fails
                answer.close()
        got = os.path.getsize(output_file)
        if bar.total and got != bar.total:
            raise _broken(url, f"{got:,} of {bar.total:,} bytes came")
        if self.size is not None and got != self.size:
            raise CorpusError(
                f"{url} has {got:,} bytes; expected {self.size:,}: it was replaced there; download the text by hand "
                "and give the file"
            )


class _Bar:
    """The progress bar that pooch tells of chunks: it asks the file itself, for chunks may be shorter."""

    total = 0

    def __init__(self, url: str, path: Any, told: Told | None) -> None:
        self.url, self.path, self.told = url, path, told

    def update(self, size: int) -> None:
        done = os.path.getsize(self.path)
        if done > LARGEST:
            raise CorpusError(f"{self.url} is larger than {LARGEST >> 20} MB; expected a text; download it by hand")
        if self.told:
            self.told(done, self.total)

    def reset(self) -> None:
        """Do nothing: the file is not shorter."""

    def close(self) -> None:
        """Do nothing: who is told may have more to show."""


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch from telling what it does: who downloads tells it."""
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _broken(url: str, reason: str) -> CorpusError:
    return CorpusError(f"{url} could not be downloaded whole: {reason}; nothing was kept; try again")


def _reason(error: Exception) -> str:
    text = str(error)
    if "resolve" in text.lower() or "getaddrinfo" in text:
        return "its name is not known: there is perhaps no network"
    if "refused" in text.lower():
        return "the connection was refused"
    if "CERTIFICATE" in text.upper():
        return "its certificate is not trusted here"
    return "there is perhaps no network"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(symbol if symbol.isprintable() else "?" for symbol in text[:200])

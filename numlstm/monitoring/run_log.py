"""A run's log: one JSON object per line, appended as events happen, and read back.

Lines are written unbuffered, so the log of a killed run is readable up to its last event. A line torn by a crash or a
full disk is skipped. `events.py` defines the objects. This module only relies on `event`, their kind, and `step`: a
`start` discards the events that an earlier run in the same file recorded after that step.
"""

from __future__ import annotations

import io
import json
import math
import os
from pathlib import Path
from typing import Any

from ..errors import LogError

Event = dict[str, Any]

_BEGINNING = b'{"event": '


class RunLog:
    """A log opened for appending. Raises `LogError` if the file cannot be written or is not a log."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._torn, new = _has_partial_last_line(self.path), not self.path.exists()
            self.path.open("ab").close()
            if new:
                self.path.unlink()  # a run that fails before it starts leaves no empty log
        except OSError as error:
            raise LogError(
                f"{self.path} cannot be written: {error.strerror or error}; name another file for `log`"
            ) from error
        self._file: io.FileIO | None = None

    def write(self, event: Event) -> None:
        """Append an event; non-finite numbers become null. Raises `LogError` if it cannot be written."""
        line = (json.dumps(_finite(event), ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")
        line = b"\n" * self._torn + line
        written, reason = 0, "no room"
        try:
            self._file = self._file or io.FileIO(self.path, "a")
            written = self._file.write(line) or 0
        except OSError as error:
            reason = error.strerror or str(error)
        # A partly written line must not run into the next one.
        self._torn = written not in (0, len(line)) or (self._torn and not written)
        if written < len(line):
            raise LogError(f"{self.path} cannot be written: {reason}; this event is missing from it")

    def close(self) -> None:
        """Close the file. The next `write` reopens it, as when a run continues."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read(path: str | os.PathLike[str]) -> list[Event]:
    """Return the events of the last run in a log; a run that was stopped and resumed counts as one.

    Raises `LogError` if the file cannot be read or holds no event.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror or error}; expected a log of `train --log`") from error
    found = [event for event in map(parse_event, lines) if event is not None]
    if not found:
        raise LogError(f"{path} holds no events; expected a log that `numlstm train --log` wrote")
    return _one_run(found)


def _one_run(events: list[Event]) -> list[Event]:
    kept: list[Event] = []
    for event in events:
        if event["event"] == "start":
            kept = [each for each in kept if each.get("step", 0) <= event["step"]] if event["step"] else []
        kept.append(event)
    return kept


def parse_event(line: bytes) -> Event | None:
    """Return the event on a line, None if the line is torn or is not an event."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(event, dict) and isinstance(event.get("event"), str)
    return event if known and isinstance(event.get("step"), int) else None


def _has_partial_last_line(path: Path) -> bool:
    """Return True if the file ends in the middle of a line; raises `LogError` if it is not a log."""
    if not path.exists() or not path.stat().st_size:
        return False
    with open(path, "rb") as file:
        first = file.read(len(_BEGINNING))
        if not _BEGINNING.startswith(first):
            raise LogError(f"{path} exists and is not the log of a run; name another file for `log`")
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value

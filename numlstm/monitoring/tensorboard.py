"""Write a run's events for TensorBoard: curves, samples as text, gates as histograms.

Uses tensorboardX's summary builders and its plain record writer. Its `SummaryWriter` would hang the whole program on a
full disk: its thread dies at the error, and its queue, once full, blocks forever.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import LogError
from ..network.loss_units import bits, perplexity
from ..text.vocab.base import UNITS
from .gates import RANGES

Event = dict[str, Any]

_GATE_NAMES = {"i": "input", "f": "forget", "g": "candidate", "o": "output"}
_FLUSH_SECONDS = 5.0


def check_installed() -> None:
    """Raise `LogError` if tensorboardX, which writes TensorBoard's files, is not installed."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise LogError("`tensorboard` needs tensorboardX, which is not installed: pip install 'numlstm[tensorboard]'")


class Board:
    """A new TensorBoard event file in a folder. Raises `LogError` if it cannot be created."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        check_installed()
        self.folder, self.name, self._flushed = Path(folder), "token", 0.0
        self._writer: Any = None
        self._failed = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise LogError(
                f"{self.folder} cannot be written: {error.strerror or error}; name another folder for `tensorboard`"
            ) from error

    def write(self, event: Event) -> None:
        """Write an event. Raises `LogError` if that fails; later events are then ignored."""
        if self._failed:
            return
        try:
            self._writer = self._writer or self._opened()
            for each in self._messages(event):
                each.wall_time = event["time"]
                self._writer.write(each.SerializeToString())
            if event["event"] != "step" or time.monotonic() - self._flushed > _FLUSH_SECONDS:
                self._flushed = time.monotonic()
                self._writer.flush()
        except OSError as error:
            self._failed = True
            self.close()
            reason = error.strerror or error
            raise LogError(
                f"{self.folder} cannot be written: {reason}; TensorBoard shows the run up to here"
            ) from error

    def close(self) -> None:
        """Close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):  # an earlier write reported the failure, or little is lost
                writer.close()

    def _opened(self) -> Any:
        from tensorboardX.proto import event_pb2
        from tensorboardX.record_writer import RecordWriter

        # A run resumed within a second must not overwrite the previous file.
        now = time.time_ns()
        name = f"events.out.tfevents.{now // 10**9}.{socket.gethostname()}.{os.getpid()}.{now % 10**9}"
        writer = RecordWriter(str(self.folder / name))
        writer.write(event_pb2.Event(wall_time=now / 1e9, file_version="brain.Event:2").SerializeToString())
        return writer

    def _messages(self, event: Event) -> Iterator[Any]:
        from tensorboardX.proto import event_pb2

        if event["event"] == "start":
            self.name = UNITS.get(event["corpus"]["level"], "token")
            if event["step"]:  # hides what a killed run recorded after this step
                session = event_pb2.SessionLog(status=event_pb2.SessionLog.SessionStatus.Value("START"))
                yield event_pb2.Event(step=event["step"] + 1, session_log=session)
        for summary in self._summaries(event):
            yield event_pb2.Event(step=event["step"], summary=summary)

    def _summaries(self, event: Event) -> Iterator[Any]:
        from tensorboardX import summary

        for tag, value in self._scalars(event):
            if value is not None and math.isfinite(value):
                yield summary.scalar(tag, value)
        if event["event"] == "start":
            settings = json.dumps({name: event[name] for name in ("model", "training", "corpus", "device")}, indent=1)
            yield summary.text("run", _verbatim(settings))
        elif event["event"] == "sample":
            yield summary.text(
                f"sample/temperature_{event['temperature']:g}", _verbatim(event["prompt"] + event["text"])
            )
        elif event["event"] == "gates":
            for gate, name in _GATE_NAMES.items():
                yield _histogram(f"gates/layer_{event['layer']}_{name}", RANGES[gate], event[gate])

    def _scalars(self, event: Event) -> Iterator[tuple[str, float | None]]:
        if event["event"] == "step":
            yield from self._losses("training", event["loss"])
            yield "gradient_norm/before_clipping", event["gradient_norm"]
            yield "gradient_norm/after_clipping", event["clipped_norm"]
            yield "learning_rate", event["lr"]
            yield f"speed/{self.name}s_per_second", event["tokens_per_second"]
        elif event["event"] == "epoch" and event["val_loss"] is not None:
            yield from self._losses("validation", event["val_loss"])

    def _losses(self, kind: str, nats: float) -> Iterator[tuple[str, float]]:
        yield f"loss/{kind}", nats
        yield f"bits_per_{self.name}/{kind}", bits(nats)
        yield f"perplexity/{kind}", perplexity(nats)


def _verbatim(text: str) -> str:
    """Return Markdown that shows a text verbatim; TensorBoard would join its lines. Undecodable bytes become "?"."""
    text = text.encode("utf-8", "replace").decode()
    return "\n".join("    " + line for line in text.split("\n"))


def _histogram(tag: str, span: tuple[float, float], gate: dict[str, Any]) -> Any:
    """Return a histogram made from counts alone: the middle of each bin stands for its values."""
    from tensorboardX import summary

    low, high = span
    counts = gate["counts"]
    width = (high - low) / len(counts)
    middles = [low + (n + 0.5) * width for n in range(len(counts))]
    limits = [low + (n + 1) * width for n in range(len(counts))]
    squares = sum(count * middle**2 for count, middle in zip(counts, middles, strict=True))
    number = sum(counts)
    return summary.histogram_raw(tag, low, high, number, number * gate["mean"], squares, limits, counts)

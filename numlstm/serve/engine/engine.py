"""One thread writes all texts: models take turns, and in a turn all texts of a model advance as one batch.

Texts are added and cancelled from the event loop's thread, which is woken once for all streams that have news. Only the
engine's thread touches a backend.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...backends import registry
from ...errors import NumlstmError
from ...generation.batch import Batch
from ...generation.sequence import Text
from ...model import Model, device_for, generation_model
from ...network.weights_file import WeightsFile
from ..http.refusal import Refusal
from ..server_settings import Settings
from ..stores.loaded_models import Loaded, ModelCache
from .text_stream import Piece, Stream, TextRequest, Token, Usage

__all__ = ["Engine", "Loaded", "Piece", "Stream", "TextRequest", "Token", "Usage"]

_TURN = 0.012  # seconds per turn: a new text waits up to one turn, but shorter turns would be mostly overhead
_EACH = 0.0003  # seconds added to a turn per text: about as long as it takes to send a piece of it
_JOIN = 5.0  # seconds that `close` waits for the current turn to end

T = TypeVar("T")


class Engine:
    """Writes texts with the models of a server.

    `find` returns the path of a model by name, or raises `Refusal`. `on_tokens` is called with the number of tokens
    written, several times a second, on the event loop's thread. Call the methods from that thread too, `start` first.
    """

    def __init__(self, settings: Settings, find: Callable[[str], Path]) -> None:
        self.settings = settings
        self.on_tokens: Callable[[int], object] = _nothing
        self._backend = registry.load(device_for(settings.device, settings.precision))
        self._backend.set_threads(settings.threads)
        itemsize = 8 if self._backend.name == "reference" else None
        self.memory = ModelCache(settings.memory, find, self._build, itemsize)
        self._running: dict[Stream, Loaded] = {}
        # Shared between the threads; guarded by the condition.
        self._changed = threading.Condition()
        self._tasks: list[tuple[Callable[[], Any], concurrent.futures.Future[Any]]] = []
        self._news: dict[Stream, bool] = {}  # the streams with news; True if the stream has ended
        self._tokens, self._waking, self._closing = 0, False, False
        # Used only by the engine's thread.
        self._desks: dict[Loaded, dict[Text, Stream]] = {}

    @property
    def running(self) -> int:
        """The number of texts being written."""
        return len(self._running)

    def start(self) -> None:
        """Start the engine's thread. It compiles the kernels first if this machine never has."""
        self._loop, self._closing, self._waking = asyncio.get_running_loop(), False, False
        self._thread = threading.Thread(target=self._work, name="numlstm-engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop writing. All unfinished texts end with an error."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_JOIN)
        for _, future in self._tasks:
            future.cancel()
        for stream, model in self._running.items():
            stream.fail(_stopping())
            stream.wake(True)
            self.memory.end(model)
        for model, streams in self._desks.items():
            for text in streams:
                model.batch.remove(text)
        for left in (self._tasks, self._running, self._desks, self._news):
            left.clear()

    async def load(self, name: str) -> Loaded:
        """Return a model, loading it if it is not in memory or its file has changed. Raises `Refusal` if it cannot."""
        return await self.memory.load(name)

    def write(self, model: Loaded, wanted: TextRequest) -> Stream:
        """Start a text and return its stream. Raises `Refusal` if too many are being written or this one is invalid."""
        if self._closing:
            raise _stopping()
        if self.running >= self.settings.max_texts:
            raise Refusal(
                429,
                f"{self.running} texts are being written, the most allowed at once; try again in a second",
                "too_many_texts",
                retry_after=1,
            )
        text = self._text(model, wanted)
        stream = Stream(text, wanted, lambda: self._cancel(stream, text))
        self._running[stream] = model
        self.memory.begin(model)
        self._post(lambda: self._join(model, text, stream))
        return stream

    def _text(self, model: Loaded, wanted: TextRequest) -> Text:
        try:
            text = Text(
                wanted.number,
                model.vocab,
                wanted.prompt,
                wanted.config,
                wanted.drop_unknown,
                likeliest=wanted.logprobs,
                echo=wanted.echo,
            )
        except NumlstmError as error:
            message = str(error)
            raise Refusal(400, message, "invalid_prompt", param="prompt") from None
        for name, size, most in (
            ("prompt", len(text.prompt_ids), self.settings.max_prompt),
            ("max_tokens", wanted.config.length, self.settings.max_tokens),
        ):
            if size > most:
                unit = model.vocab.unit
                message = f"{name} has {size:,} {unit}s" if name == "prompt" else f"{name} is {size:,}"
                raise Refusal(400, f"{message}; expected at most {most:,}", f"{name}_too_long", param=name)
        return text

    def _cancel(self, stream: Stream, text: Text) -> None:
        if model := self._running.get(stream):
            self._post(lambda: self._leave(model, text))

    async def _build(self, file: WeightsFile) -> Batch:
        """Build the network of a weights file, on the engine's thread."""

        def build() -> Batch:
            return Batch(generation_model(file, self._backend, precision=self.settings.precision), _TURN, _EACH)

        return await asyncio.wrap_future(self._post(build))

    def _post(self, function: Callable[[], T]) -> concurrent.futures.Future[T]:
        """Queue a function for the engine's thread to call before its next turn."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        with self._changed:
            self._tasks.append((function, future))
            self._changed.notify()
        return future

    def _wake(self) -> None:
        """Wake all streams that have news. Runs on the event loop's thread."""
        with self._changed:
            news, self._news, self._waking = self._news, {}, False
            tokens, self._tokens = self._tokens, 0
        self.on_tokens(tokens)
        for stream, over in news.items():
            if over and (model := self._running.pop(stream, None)):
                self.memory.end(model)
            stream.wake(over)

    # Everything below runs on the engine's thread.

    def _work(self) -> None:
        try:
            _compile(self._backend.name)
        except Exception:
            traceback.print_exc(file=sys.stderr)  # the first text will report it too
        while True:
            with self._changed:
                while not (self._tasks or self._desks or self._closing):
                    self._changed.wait()
                if self._closing:
                    return
                tasks, self._tasks = self._tasks, []
            for function, future in tasks:
                _run(function, future)
            for model in list(self._desks):
                self._turn(model)

    def _join(self, model: Loaded, text: Text, stream: Stream) -> None:
        stream.deadline = time.monotonic() + self.settings.max_seconds
        self._desks.setdefault(model, {})[text] = stream
        model.batch.add(text)

    def _leave(self, model: Loaded, text: Text, refusal: Refusal | None = None) -> None:
        model.batch.remove(text)
        streams = self._desks.get(model, {})
        if (stream := streams.pop(text, None)) is None:
            return  # it has already ended
        if refusal is not None:
            stream.fail(refusal)
        self._tell({stream: True})
        if not streams:
            del self._desks[model]

    def _turn(self, model: Loaded) -> None:
        try:
            self._advance(model, self._desks[model])
        except Exception as error:
            self._give_up(model, error)

    def _advance(self, model: Loaded, streams: dict[Text, Stream]) -> None:
        """Run one turn for all texts of a model, and pass their new pieces to the streams."""
        news, tokens, ruled_out = dict[Stream, bool](), 0, list[Text]()
        said = model.batch.turn()
        for text, piece in said:
            if text.problem is None:
                tokens += streams[text].take(piece)
                news[streams[text]] = text.over
            else:
                ruled_out.append(text)
        self._tell(news, tokens)
        for text in ruled_out:
            self._leave(model, text, Refusal(400, str(text.problem), "nothing_may_follow"))
        for text, _ in said:
            if text.over:
                streams.pop(text, None)
        self._end_late(model, streams)
        if not streams:
            self._desks.pop(model, None)

    def _end_late(self, model: Loaded, streams: dict[Text, Stream]) -> None:
        now, limit = time.monotonic(), self.settings.max_seconds
        for text in [text for text, stream in streams.items() if stream.deadline < now]:
            message = f"the text was not finished within {limit:g} seconds; ask for fewer tokens, or try again later"
            self._leave(model, text, Refusal(503, message, "time_limit"))

    def _give_up(self, model: Loaded, error: Exception) -> None:
        """End all texts of a model whose turn failed: the state of its batch can no longer be trusted."""
        if isinstance(error, MemoryError):
            refusal = Refusal(503, "the server ran out of memory; try again later", "no_memory", retry_after=5)
        else:
            traceback.print_exception(error, file=sys.stderr)
            refusal = Refusal(500, "the text could not be written; see the server's log", "internal_error")
        for text in list(self._desks[model]):
            self._leave(model, text, refusal)

    def _tell(self, news: dict[Stream, bool], tokens: int = 0) -> None:
        with self._changed:
            self._news |= news
            self._tokens += tokens
            if self._waking or self._closing or not news:
                return
            self._waking = True
        self._loop.call_soon_threadsafe(self._wake)


def _run(function: Callable[[], T], future: concurrent.futures.Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)


def _compile(device: str) -> None:
    """Compile the kernels that write texts, by running a small network of two layers.

    With fewer units its arrays would be contiguous, and other kernels would be compiled for them.
    """
    if device == "reference":
        return
    model, ids = Model.create(2, (64, 64), device=device), np.zeros((2, 4), np.int32)
    _, state = model.logits(ids, model.zero_state(4))
    model.draw(ids[0], state, np.zeros((1, 4)), 1.0)


def _stopping() -> Refusal:
    return Refusal(503, "the server is stopping; try again when it is back", "stopping", retry_after=10)


def _nothing(tokens: int) -> None:
    """Do nothing."""

"""In the place of the engine until it is there: each text is written by a thread of its own, on NumPy.

Knows nothing about batches, memory or limits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from .. import weights
from ..backends import load as load_backend
from ..config import SampleConfig
from ..model import Model
from .settings import Settings


@dataclasses.dataclass(frozen=True)
class Token:
    text: str
    logprob: float
    top: list[tuple[str, float]]
    offset: int


@dataclasses.dataclass(frozen=True)
class Piece:
    text: str
    tokens: list[Token]
    finish: str


@dataclasses.dataclass(frozen=True)
class Wanted:
    prompt: str
    config: SampleConfig
    number: int = 0
    drop_unknown: bool = False
    logprobs: int | None = None
    echo: bool = False


@dataclasses.dataclass
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclasses.dataclass(frozen=True)
class Loaded:
    name: str
    model: Any

    @property
    def vocab(self) -> Any:
        return self.model.vocab

    @property
    def config(self) -> Any:
        return self.model.config


class Stream:
    def __init__(self, engine: Engine, loaded: Loaded, wanted: Wanted) -> None:
        self.usage = Usage(len(wanted.prompt))
        self._engine, self._loaded, self._wanted = engine, loaded, wanted
        self._cancelled = False
        self._loop, self._queue = asyncio.get_running_loop(), asyncio.Queue[str | None]()
        engine.running += 1
        threading.Thread(target=self._write, daemon=True).start()

    def cancel(self) -> None:
        self._cancelled = True

    def _write(self) -> None:
        w, m = self._wanted, self._loaded.model
        from ..generate import generate

        try:
            for piece in generate(m, w.prompt, w.config, drop_unknown=w.drop_unknown):
                if self._cancelled:
                    break
                self.usage.completion_tokens += len(piece)
                self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)
        finally:
            self._engine.running -= 1
            self._loop.call_soon_threadsafe(self._queue.put_nowait, None)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        if self._wanted.echo:
            yield Piece(self._wanted.prompt, [], "")
        while (text := await self._queue.get()) is not None:
            yield Piece(text, [], "")
        short = self.usage.completion_tokens < self._wanted.config.length
        yield Piece("", [], "stop" if short else "length")


class Engine:
    def __init__(self, settings: Settings, find: Callable[[str], Path]) -> None:
        self.find, self.running = find, 0
        self.models: dict[str, Loaded] = {}

    def start(self) -> None: ...

    def close(self) -> None: ...

    async def load(self, name: str) -> Loaded:
        path = self.find(name)
        if name not in self.models:
            file = weights.load(path)
            self.models[name] = Loaded(
                name, Model(file.config, file.params, load_backend("reference"), vocab=file.vocab)
            )
        return self.models[name]

    def write(self, loaded: Loaded, wanted: Wanted) -> Stream:
        return Stream(self, loaded, wanted)

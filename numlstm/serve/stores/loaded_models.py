"""Models in memory: read when first asked for and kept within a limit; what was longest unused leaves first.

All of it happens in the event loop's thread; only reading a file does not, so that a large one holds nobody up. Knows
nothing about HTTP, or about what is written.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import NumlstmError
from ...generation.batch import Batch
from ...network import parameters, weights_file
from ...network.weights_file import WeightsFile
from ...settings.network import NetworkSettings
from ...text.vocab.base import Vocab
from ..http.refusal import Refusal
from ..server_settings import MB

# The parameters as they are, their gradients' room, and packed for the way forward and the way back.
_COPIES = 4
_RETRY = 5


class Stamp(NamedTuple):
    """What tells one version of a file from the next."""

    changed: int
    size: int
    node: int


@dataclasses.dataclass(eq=False)
class Loaded:
    """A model in memory and the batch of its texts, which only the engine's thread may touch.

    `texts` counts those that are being written, `used` says when it was last asked for, in the order of asking; `old`,
    that its file has changed or is gone.
    """

    name: str
    config: NetworkSettings
    vocab: Vocab
    stamp: Stamp
    bytes: int
    batch: Batch
    texts: int = 0
    used: int = 0
    old: bool = False


class Memory:
    """The models that are loaded, of which no more are kept than fit into `limit` bytes.

    `find` returns the file of a name, or raises `Refusal`; `build` makes the network of what was read from it, which
    has numbers of `itemsize` bytes, or, where that is None, of those that the file says.
    """

    def __init__(
        self,
        limit: int,
        find: Callable[[str], Path],
        build: Callable[[WeightsFile], Awaitable[Batch]],
        itemsize: int | None = None,
    ) -> None:
        self.limit, self._find, self._build, self._itemsize = limit, find, build, itemsize
        self.models: list[Loaded] = []  # old versions of files too, as long as texts are written with them
        self._clock, self._one_at_a_time = itertools.count(1), asyncio.Lock()

    @property
    def bytes(self) -> int:
        """How much memory the models take."""
        return sum(model.bytes for model in self.models)

    async def load(self, name: str) -> Loaded:
        """Return the model of that name as its file is now.

        Raises `Refusal`: what `find` raises, 422 if the file cannot be used or is too large by itself, 503 if there is
        no room because all other models are writing.
        """
        if (found := self._kept(name)) is None:
            async with self._one_at_a_time:
                found = self._kept(name) or await self._read(name)
        found.used = next(self._clock)
        return found

    def begin(self, model: Loaded) -> None:
        """Take note that a text is being written with a model."""
        if model not in self.models:  # it had to leave between being loaded and this
            self.models.append(model)
        model.texts += 1

    def end(self, model: Loaded) -> None:
        """Take note that a text is not being written any more."""
        model.texts -= 1
        self._forget_old()

    def _kept(self, name: str) -> Loaded | None:
        """Return the model of that name if it is here, as its file is now."""
        try:
            stamp = _stamp(self._find(name), name)
        except Refusal:
            self._outdate(name)
            raise
        found = (each for each in self.models if each.name == name and each.stamp == stamp and not each.old)
        return next(found, None)

    async def _read(self, name: str) -> Loaded:
        path = self._find(name)
        stamp = _stamp(path, name)
        self._check_fits(name, stamp.size)  # a file is read as a whole; numbers are not packed in it
        file = await asyncio.to_thread(_read, path, name)
        size = _COPIES * parameters.count(file.config) * (self._itemsize or np.dtype(file.config.dtype).itemsize)
        self._check_fits(name, size)
        self._outdate(name)
        self._make_room(name, size)
        try:
            batch = await self._build(file)
        except MemoryError:
            raise _no_memory(name) from None
        except NumlstmError as error:
            raise _unusable(name, str(error)) from None
        model = Loaded(name, file.config, file.vocab, stamp, size, batch)
        self.models.append(model)
        return model

    def _check_fits(self, name: str, size: int) -> None:
        if size > self.limit:
            raise Refusal(
                422,
                f"the model {name} needs about {size / MB:,.0f} MB of memory, and this server may use "
                f"{self.limit / MB:,.0f} MB for models; start it with a larger --memory",
                "model_too_large",
                param="model",
            )

    def _make_room(self, name: str, size: int) -> None:
        """Let models leave that write nothing; raises `Refusal` if that is not enough, and then none leaves."""
        if size + sum(model.bytes for model in self.models if model.texts) > self.limit:
            raise _no_memory(name)
        idle = sorted((model for model in self.models if not model.texts), key=lambda model: model.used)
        while self.bytes + size > self.limit:
            self.models.remove(idle.pop(0))

    def _outdate(self, name: str) -> None:
        """Use what is here of a file no more: texts that were begun with it are still written."""
        for model in self.models:
            model.old |= model.name == name
        self._forget_old()

    def _forget_old(self) -> None:
        self.models = [model for model in self.models if model.texts or not model.old]


def _stamp(path: Path, name: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        raise Refusal(
            404,
            f"there is no model {name!r:.80}; GET /v1/models lists those there are",
            "model_not_found",
            param="model",
        ) from None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


def _read(path: Path, name: str) -> WeightsFile:
    """Read a model's file, without what only training needs."""
    try:
        file = weights_file.load(path)
    except NumlstmError as error:
        # The file's path says where the server's folder is, which is not for clients to know.
        raise _unusable(name, str(error).replace(str(path), "its file")) from None
    except MemoryError:
        raise _no_memory(name) from None
    return dataclasses.replace(file, state=None)


def _unusable(name: str, why: str) -> Refusal:
    return Refusal(422, f"the model {name} cannot be used: {why}", "model_unusable", param="model")


def _no_memory(name: str) -> Refusal:
    return Refusal(
        503,
        f"there is no memory for the model {name} while others are writing; try again in {_RETRY} seconds",
        "no_memory",
        retry_after=_RETRY,
    )

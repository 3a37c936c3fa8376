"""A cache of loaded models with a memory limit: models load on first use, and the least recently used are evicted.

Runs on the event loop; files are read in a worker thread.
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

# Arrays of the parameters' size: the parameters, their gradients, and packed copies for the forward and backward pass.
_COPIES = 4
_RETRY = 5


class Stamp(NamedTuple):
    """Identifies one version of a file."""

    changed: int
    size: int
    node: int


@dataclasses.dataclass(eq=False)
class Loaded:
    """A model in memory, with the batch of its texts. Only the engine's thread may touch the batch.

    `texts` counts the texts being written. `used` increases with every request for a model. `old` is true once the
    file has changed or is gone.
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


class ModelCache:
    """The loaded models, which take at most `limit` bytes.

    `find` returns the path of a model by name, or raises `Refusal`. `build` builds the network of a weights file, whose
    numbers take `itemsize` bytes each (None: as the file's dtype says).
    """

    def __init__(
        self,
        limit: int,
        find: Callable[[str], Path],
        build: Callable[[WeightsFile], Awaitable[Batch]],
        itemsize: int | None = None,
    ) -> None:
        self.limit, self._find, self._build, self._itemsize = limit, find, build, itemsize
        self.models: list[Loaded] = []  # includes old versions that texts are still written with
        self._clock, self._one_at_a_time = itertools.count(1), asyncio.Lock()

    @property
    def bytes(self) -> int:
        """The memory that the loaded models take."""
        return sum(model.bytes for model in self.models)

    async def load(self, name: str) -> Loaded:
        """Return the model of this name, loaded from the current version of its file.

        Raises `Refusal`: what `find` raises, 422 if the file cannot be used or is too large by itself, 503 if there is
        no memory while other models are writing.
        """
        if (found := self._kept(name)) is None:
            async with self._one_at_a_time:
                found = self._kept(name) or await self._read(name)
        found.used = next(self._clock)
        return found

    def begin(self, model: Loaded) -> None:
        """Record that a text is being written with a model."""
        if model not in self.models:  # it was evicted after it was loaded
            self.models.append(model)
        model.texts += 1

    def end(self, model: Loaded) -> None:
        """Record that a text has ended."""
        model.texts -= 1
        self._forget_old()

    def _kept(self, name: str) -> Loaded | None:
        """Return the model of this name if the current version of its file is loaded."""
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
        self._check_fits(name, stamp.size)  # it is read whole, and is not compressed
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
        """Evict idle models until `size` bytes fit. Raises `Refusal`, and evicts none, if that is not enough."""
        if size + sum(model.bytes for model in self.models if model.texts) > self.limit:
            raise _no_memory(name)
        idle = sorted((model for model in self.models if not model.texts), key=lambda model: model.used)
        while self.bytes + size > self.limit:
            self.models.remove(idle.pop(0))

    def _outdate(self, name: str) -> None:
        """Mark all loaded versions of a model as old. Texts already started with them are finished."""
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
            f"there is no model {name!r:.80}; GET /v1/models lists them",
            "model_not_found",
            param="model",
        ) from None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


def _read(path: Path, name: str) -> WeightsFile:
    """Read a model's file, without its training state."""
    try:
        file = weights_file.load(path)
    except NumlstmError as error:
        # The path would tell clients where the server's folder is.
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

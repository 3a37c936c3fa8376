"""numlstm as a contestant: training with `train` and one stream of text with `generate`, as a user runs them.

Several streams are drawn with `Model.draw`, which `generate` calls internally.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numlstm.errors import BackendError, ConfigError
from numlstm.generation.writing import generate
from numlstm.model import Model
from numlstm.settings.sampling import SamplingSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.vocab.char import CharVocab
from numlstm.training.loop import Step, train
from numlstm.training.state import TrainingState

from . import shapes
from .contest import AbsentError, serve
from .shapes import Shape

_ENDLESS = 2**31 - 1
_PIECE = 16  # characters per stream and call, with several streams


class _Contestant:
    def __init__(self, shape: dict[str, Any], threads: int, precision: str = "float32", gain: float = 1.0) -> None:
        self.shape = Shape(**shape)
        vocab = CharVocab(self.shape.symbols)
        network = (self.shape.vocab_size, self.shape.layers)
        try:
            self.model = Model.create(*network, device="cpu", vocab=vocab, precision=precision)
        except (BackendError, ConfigError) as error:
            raise AbsentError(str(error)) from error
        self.threads = self.model.backend.set_threads(threads)
        self.model.set_params(shapes.parameters(self.shape, gain))

    def about(self) -> dict[str, Any]:
        return {"threads": self.threads, "device": self.model.backend.describe()}


class Training(_Contestant):
    """Whole training steps, each on the next window of the text, with carried state."""

    def __init__(
        self, shape: dict[str, Any], threads: int, precision: str, windows: int, lr: float, clip: float
    ) -> None:
        super().__init__(shape, threads, precision)
        config = TrainingSettings(
            steps=_ENDLESS,
            batch_size=self.shape.batch_size,
            seq_len=self.shape.seq_len,
            lr=lr,
            lr_floor=1.0,
            warmup_steps=0,
            clip=clip,
            val_split=0.0,
            precision=precision,
        )
        ids = shapes.text(self.shape, windows)
        events = train(TrainingState.start(self.model, config), ids, ids[:0])
        self._steps = (event for event in events if isinstance(event, Step))

    def work(self) -> int:
        next(self._steps)
        return self.shape.batch_size * self.shape.seq_len

    def first_steps(self, steps: int) -> list[tuple[float, float]]:
        """Return the loss and the gradient norm before clipping of each of the next `steps` steps."""
        return [(p.loss, p.gradient_norm) for p, _ in zip(self._steps, range(steps), strict=False)]


class OneStream(_Contestant):
    """One stream of characters, in the pieces that `generate` yields."""

    def __init__(self, shape: dict[str, Any], threads: int, temperature: float, gain: float) -> None:
        super().__init__(shape, threads, gain=gain)
        self._pieces = generate(self.model, "", SamplingSettings(_ENDLESS, temperature))

    def work(self) -> int:
        return len(next(self._pieces))

    def greedy(self, prompts: list[str], length: int) -> list[str]:
        """Return the likeliest continuation of each prompt; all prompts must have the same length."""
        return _greedy(self.model, prompts, length)


class Streams(_Contestant):
    """One stream of characters per row of the batch, drawn together."""

    def __init__(self, shape: dict[str, Any], threads: int, temperature: float, gain: float) -> None:
        super().__init__(shape, threads, gain=gain)
        self.temperature = temperature
        self.rng = np.random.default_rng(0)
        self.last = np.zeros(self.shape.batch_size, np.int32)
        self.state = self.model.zero_state(self.shape.batch_size)

    def work(self) -> int:
        uniforms = self.rng.random((_PIECE, len(self.last)))
        drawn, self.state = self.model.draw(self.last, self.state, uniforms, self.temperature)
        self.last = drawn[-1]
        return drawn.size

    def greedy(self, prompts: list[str], length: int) -> list[str]:
        """Return the likeliest continuation of each prompt; all prompts must have the same length."""
        return _greedy(self.model, prompts, length)


def _greedy(model: Model, prompts: list[str], length: int) -> list[str]:
    """Return the likeliest continuations, with nothing read before the prompts."""
    ids = np.array([model.vocab.encode(prompt) for prompt in prompts]).T
    state = model.read(ids[:-1], model.zero_state(len(prompts)))
    drawn, _ = model.draw(ids[-1], state, np.zeros((length, len(prompts))), 0.0)
    return [model.vocab.decode(column) for column in drawn.T]


TASKS = {"train": Training, "one_stream": OneStream, "streams": Streams}

if __name__ == "__main__":
    serve(TASKS)

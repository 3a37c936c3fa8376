"""numlstm as a contestant: training with `train` and one stream of text with `generate`, as a user runs them.

Several streams are drawn with `Model.draw`, which `generate` calls internally.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numlstm.errors import BackendError, ConfigError
from numlstm.generation.writing import generate
from numlstm.model import Model
from numlstm.settings.precision import rounding_of
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
    def __init__(
        self, shape: dict[str, Any], threads: int, precision: str = "float32", gain: float = 1.0, device: str = "cpu"
    ) -> None:
        self.shape = Shape(**shape)
        vocab = CharVocab(self.shape.symbols)
        network = (self.shape.vocab_size, self.shape.layers)
        try:
            self.model = Model.create(*network, device=device, vocab=vocab, precision=precision)
        except (BackendError, ConfigError) as error:
            raise AbsentError(str(error)) from error
        self.threads = self.model.backend.set_threads(threads)
        self.model.set_params(shapes.parameters(self.shape, gain))

    def about(self) -> dict[str, Any]:
        return {"threads": self.threads, "device": self.model.backend.describe()}


class Exact:
    """The gradients of one training step, by the reference backend in float64."""

    def __init__(self, shape: dict[str, Any], windows: int) -> None:
        self.shape, self.windows = Shape(**shape), windows
        network = (self.shape.vocab_size, self.shape.layers)
        self.model = Model.create(*network, device="reference", dtype="float64")
        self.model.set_params(shapes.parameters(self.shape))

    def work(self) -> int:
        raise NotImplementedError("this contestant is not timed")

    def about(self) -> dict[str, Any]:
        return {"device": f"{self.model.backend.describe()} in float64"}

    def save_gradients(self, path: str) -> None:
        _save_gradients(self.model, self.shape, self.windows, path)


def _save_gradients(model: Model, shape: Shape, windows: int, path: str) -> None:
    """Write each parameter's gradient of a step on the first window, with the present parameters and a zero state."""
    _, gradients, _ = model.loss_and_gradients(*shapes.first_window(shape, windows))
    np.savez(path, **gradients)  # type: ignore[arg-type]


class Training(_Contestant):
    """Whole training steps, each on the next window of the text, with carried state."""

    def __init__(
        self, shape: dict[str, Any], threads: int, precision: str, windows: int, lr: float, clip: float
    ) -> None:
        super().__init__(shape, threads, precision)
        self.windows = windows
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

    def save_gradients(self, path: str) -> None:
        _save_gradients(self.model, self.shape, self.windows, path)


class _Writing(_Contestant):
    """Generation, with weights rounded to `precision` if that is not float32."""

    def __init__(
        self,
        shape: dict[str, Any],
        threads: int,
        temperature: float,
        gain: float,
        precision: str = "float32",
        device: str = "cpu",
    ) -> None:
        super().__init__(shape, threads, gain=gain, device=device)
        self.temperature = temperature
        if precision != "float32":
            self.model = _rounded(self.model, precision)

    def greedy(self, prompts: list[str], length: int) -> list[str]:
        """Return the likeliest continuations, with nothing read before the prompts, which have the same length."""
        ids = np.array([self.model.vocab.encode(prompt) for prompt in prompts]).T
        state = self.model.read(ids[:-1], self.model.zero_state(len(prompts)))
        drawn, _ = self.model.draw(ids[-1], state, np.zeros((length, len(prompts))), 0.0)
        return [self.model.vocab.decode(column) for column in drawn.T]


def _rounded(model: Model, precision: str) -> Model:
    """Return the model with rounded weights; raises `AbsentError` if numlstm has none in `precision`."""
    try:
        rounding = rounding_of(precision)
        return Model(model.config, model.flat, model.backend, vocab=model.vocab, rounding=rounding)
    except (BackendError, ConfigError) as error:
        raise AbsentError(str(error)) from error


class OneStream(_Writing):
    """One stream of characters, in the pieces that `generate` yields."""

    def __init__(self, *settings: Any, **named: Any) -> None:
        super().__init__(*settings, **named)
        self._pieces = generate(self.model, "", SamplingSettings(_ENDLESS, self.temperature))

    def work(self) -> int:
        return len(next(self._pieces))


class Streams(_Writing):
    """One stream of characters per row of the batch, drawn together."""

    def __init__(self, *settings: Any, **named: Any) -> None:
        super().__init__(*settings, **named)
        self.rng = np.random.default_rng(0)
        self.last = np.zeros(self.shape.batch_size, np.int32)
        self.state = self.model.zero_state(self.shape.batch_size)

    def work(self) -> int:
        uniforms = self.rng.random((_PIECE, len(self.last)))
        drawn, self.state = self.model.draw(self.last, self.state, uniforms, self.temperature)
        self.last = drawn[-1]
        return int(drawn.size)


TASKS = {"train": Training, "exact": Exact, "one_stream": OneStream, "streams": Streams}

if __name__ == "__main__":
    serve(TASKS)

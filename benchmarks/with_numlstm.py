"""numlstm as a contestant: training through `train` and generation through `generate`, as a user runs them."""

from __future__ import annotations

from typing import Any

from numlstm.config import SampleConfig, TrainConfig
from numlstm.generate import generate
from numlstm.model import Model
from numlstm.text.vocab import Vocab
from numlstm.train import Run, Step, train

from . import shapes
from .contest import serve
from .shapes import Shape

_ENDLESS = 2**31 - 1


class _Contestant:
    def __init__(self, shape: dict[str, Any], threads: int, gain: float = 1.0) -> None:
        self.shape = Shape(**shape)
        vocab = Vocab(self.shape.symbols)
        self.model = Model.create(self.shape.vocab_size, self.shape.layers, device="cpu", vocab=vocab)
        self.threads = self.model.backend.set_threads(threads)
        self.model.set_params(shapes.parameters(self.shape, gain))

    def about(self) -> dict[str, Any]:
        return {"threads": self.threads, "device": self.model.backend.describe()}


class Training(_Contestant):
    """Whole training steps, each on the next window of the text, the state carried along."""

    def __init__(self, shape: dict[str, Any], threads: int, windows: int, lr: float, clip: float) -> None:
        super().__init__(shape, threads)
        config = TrainConfig(
            steps=_ENDLESS,
            batch_size=self.shape.batch_size,
            seq_len=self.shape.seq_len,
            lr=lr,
            lr_floor=1.0,
            warmup_steps=0,
            clip=clip,
            val_split=0.0,
        )
        ids = shapes.text(self.shape, windows)
        events = train(Run.start(self.model, config), ids, ids[:0])
        self._steps = (event for event in events if isinstance(event, Step))

    def work(self) -> int:
        next(self._steps)
        return self.shape.batch_size * self.shape.seq_len

    def first_steps(self, steps: int) -> list[tuple[float, float]]:
        """Return the loss and the gradient's norm before clipping of each of so many steps."""
        return [(p.loss, p.gradient_norm) for p, _ in zip(self._steps, range(steps), strict=False)]


class Generation(_Contestant):
    """One stream of characters, in pieces of the size in which `generate` hands them out."""

    def __init__(self, shape: dict[str, Any], threads: int, temperature: float, gain: float) -> None:
        super().__init__(shape, threads, gain)
        self._pieces = generate(self.model, "", SampleConfig(_ENDLESS, temperature))

    def work(self) -> int:
        return len(next(self._pieces))

    def greedy(self, prompt: str, length: int) -> str:
        """Return the likeliest text that goes on from a prompt."""
        return self.model.generate(prompt, length=length, temperature=0.0)


if __name__ == "__main__":
    serve({"train": Training, "generate": Generation})

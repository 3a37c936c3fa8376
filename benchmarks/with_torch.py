"""PyTorch as a contestant and judge: nn.LSTM and Linear in their best plain form, eager, on the CPU.

The input is one-hot, as nn.LSTM wants it. The two biases of nn.LSTM add up to numlstm's one, so the second is zero
and not trained; measured with 2x128 and 2x512, that and the fused, foreach or plain loop of Adam make no difference
beyond the noise. Shares only the drawn parameters and text with what it judges.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from . import shapes
from .contest import serve
from .shapes import Shape

_PIECE = 16  # characters drawn between two looks at the clock


class _Contestant:
    def __init__(self, shape: dict[str, Any], threads: int, gain: float = 1.0) -> None:
        torch.set_num_threads(threads)
        self.shape = Shape(**shape)
        H = self.shape.layers[0]
        self.lstm = nn.LSTM(self.shape.vocab_size, H, len(self.shape.layers))
        self.output = nn.Linear(H, self.shape.vocab_size)
        self.one_hot = torch.eye(self.shape.vocab_size)
        self._set_parameters(gain)

    def about(self) -> dict[str, Any]:
        return {"threads": torch.get_num_threads(), "device": f"torch {torch.__version__} eager"}

    @torch.no_grad()
    def _set_parameters(self, gain: float) -> None:
        named = {name: torch.from_numpy(array.T) for name, array in shapes.parameters(self.shape, gain).items()}
        for n in range(len(self.shape.layers)):
            ours = {"weight_ih": "W_x", "weight_hh": "W_h", "bias_ih": "b"}
            for theirs, name in ours.items():
                getattr(self.lstm, f"{theirs}_l{n}").copy_(named[f"lstm.{n}.{name}"])
            getattr(self.lstm, f"bias_hh_l{n}").zero_().requires_grad_(False)
        self.output.weight.copy_(named["output.W"])
        self.output.bias.copy_(named["output.b"])


class Training(_Contestant):
    """Whole training steps, each on the next window of the text, the state carried along."""

    def __init__(self, shape: dict[str, Any], threads: int, windows: int, lr: float, clip: float) -> None:
        super().__init__(shape, threads)
        T, B = self.shape.seq_len, self.shape.batch_size
        ids = torch.from_numpy(shapes.text(self.shape, windows)).long()
        self.ids = torch.split(ids[:-1].view(B, -1).T.contiguous(), T)
        self.targets = torch.split(ids[1:].view(B, -1).T.contiguous(), T)
        self.clip = clip
        self.trained = [p for p in (*self.lstm.parameters(), *self.output.parameters()) if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, lr=lr, betas=(0.9, 0.99), eps=1e-8, fused=True)
        self.state: tuple[torch.Tensor, torch.Tensor] | None = None
        self.window = 0

    def work(self) -> int:
        self._step()
        return self.shape.batch_size * self.shape.seq_len

    def first_steps(self, steps: int) -> list[tuple[float, float]]:
        """Return the loss and the gradient's norm before clipping of each of so many steps."""
        return [self._step() for _ in range(steps)]

    def _step(self) -> tuple[float, float]:
        if self.window == len(self.ids):
            self.window, self.state = 0, None
        ids, targets = self.ids[self.window], self.targets[self.window]
        self.optimizer.zero_grad(set_to_none=True)
        h, (h_last, c_last) = self.lstm(self.one_hot[ids], self.state)
        loss = F.cross_entropy(self.output(h).flatten(0, 1), targets.flatten())
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        self.state = (h_last.detach(), c_last.detach())
        self.window += 1
        return loss.item(), norm.item()


class Generation(_Contestant):
    """One stream of characters, in a loop of one-step calls, the state carried along."""

    def __init__(self, shape: dict[str, Any], threads: int, temperature: float, gain: float) -> None:
        super().__init__(shape, threads, gain)
        self.temperature = temperature
        self.inputs = list(self.one_hot[:, None, None])
        self.state: tuple[torch.Tensor, torch.Tensor] | None = None
        self.last = 0

    @torch.inference_mode()
    def work(self) -> int:
        for _ in range(_PIECE):
            probabilities = torch.softmax(self._logits(self.last) / self.temperature, -1)
            self.last = int(torch.multinomial(probabilities, 1).item())
        return _PIECE

    @torch.inference_mode()
    def greedy(self, prompt: str, length: int) -> str:
        """Return the likeliest text that goes on from a prompt."""
        ids = [self.shape.symbols.index(symbol) for symbol in prompt]
        self.state = None
        for id_ in ids[:-1]:
            self._logits(id_)
        drawn = [ids[-1]]
        for _ in range(length):
            drawn.append(int(self._logits(drawn[-1]).argmax().item()))
        return "".join(self.shape.symbols[id_] for id_ in drawn[1:])

    def _logits(self, id_: int) -> torch.Tensor:
        h, self.state = self.lstm(self.inputs[id_], self.state)
        logits: torch.Tensor = self.output(h[0, 0])
        return logits


if __name__ == "__main__":
    serve({"train": Training, "generate": Generation})

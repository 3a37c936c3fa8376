"""PyTorch as a contestant and judge: nn.LSTM and Linear in their fastest plain form, eager, and a TorchScript loop.

The input is one-hot, as nn.LSTM requires. numlstm's bias is the sum of nn.LSTM's two, so the second is zero and not
trained. With 2x128 and 2x512 neither this nor the choice of Adam's fused, foreach or plain loop made a difference
beyond noise. The code shares only the drawn parameters and text with numlstm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from . import shapes
from .contest import AbsentError, serve
from .shapes import Shape

_PIECE = 16  # characters drawn per stream between two clock readings
_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


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
    """Whole training steps, each on the next window of the text, with carried state."""

    def __init__(
        self, shape: dict[str, Any], threads: int, precision: str, windows: int, lr: float, clip: float
    ) -> None:
        super().__init__(shape, threads)
        self.autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")
        if precision == "bf16":
            self._try_bf16()
        T, B = self.shape.seq_len, self.shape.batch_size
        ids = torch.from_numpy(shapes.text(self.shape, windows)).long()
        self.ids = torch.split(ids[:-1].view(B, -1).T.contiguous(), T)
        self.targets = torch.split(ids[1:].view(B, -1).T.contiguous(), T)
        self.clip = clip
        self.trained = [p for p in (*self.lstm.parameters(), *self.output.parameters()) if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, lr=lr, betas=(0.9, 0.99), eps=1e-8, fused=True)
        self.state: tuple[torch.Tensor, torch.Tensor] | None = None
        self.window = 0

    @torch.no_grad()
    def _try_bf16(self) -> None:
        """Raise `AbsentError` if oneDNN has no bf16 LSTM, as on processors with only AVX2."""
        try:
            with self.autocast:
                self.lstm(self.one_hot[:1, None])
        except RuntimeError as error:
            raise AbsentError(f"PyTorch computes no LSTM in bf16 here: {str(error).partition('.')[0]}") from error

    def work(self) -> int:
        self._step()
        return self.shape.batch_size * self.shape.seq_len

    def first_steps(self, steps: int) -> list[tuple[float, float]]:
        """Return the loss and the gradient norm before clipping of each of the next `steps` steps."""
        return [self._step() for _ in range(steps)]

    def _step(self) -> tuple[float, float]:
        if self.window == len(self.ids):
            self.window, self.state = 0, None
        ids, targets = self.ids[self.window], self.targets[self.window]
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            h, (h_last, c_last) = self.lstm(self.one_hot[ids], self.state)
            loss = F.cross_entropy(self.output(h).flatten(0, 1), targets.flatten())
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        self.state = (h_last.detach(), c_last.detach())
        self.window += 1
        return loss.item(), norm.item()


class _Streams(_Contestant):
    """One stream of characters per row of the batch, with carried state.

    Disables oneDNN, which makes training faster but single steps slower: with it the Python loop drew half as many
    characters at 2x128 and a third as many at 2x512; the scripted loop drew two thirds as many.
    """

    def __init__(self, shape: dict[str, Any], threads: int, temperature: float, gain: float) -> None:
        super().__init__(shape, threads, gain)
        torch.backends.mkldnn.enabled = False
        self.temperature = temperature
        self.last = torch.zeros(self.shape.batch_size, dtype=torch.long)
        self.forget()

    def forget(self) -> None:
        """Reset the state to zeros."""
        raise NotImplementedError

    def draw(self, length: int, temperature: float) -> torch.Tensor:
        """Return the ids (length, B) that follow `last` (B), and set `last` to the last of them."""
        raise NotImplementedError

    @torch.inference_mode()
    def work(self) -> int:
        return self.draw(_PIECE, self.temperature).numel()

    @torch.inference_mode()
    def greedy(self, prompts: list[str], length: int) -> list[str]:
        """Return the likeliest continuation of each prompt; all prompts must have the same length."""
        self.forget()
        first = torch.empty(0, len(prompts), dtype=torch.long)
        for symbols in zip(*prompts, strict=True):
            self.last = torch.tensor([self.shape.symbols.index(symbol) for symbol in symbols])
            first = self.draw(1, 0.0)
        drawn = torch.cat([first, self.draw(length - 1, 0.0)])
        return ["".join(self.shape.symbols[id_] for id_ in stream) for stream in drawn.T.tolist()]


class Eager(_Streams):
    """A Python loop of one-step calls."""

    def forget(self) -> None:
        self.state: tuple[torch.Tensor, torch.Tensor] | None = None

    def draw(self, length: int, temperature: float) -> torch.Tensor:
        drawn = []
        for _ in range(length):
            h, self.state = self.lstm(self.one_hot[self.last][None], self.state)
            self.last = _drawn(self.output(h[0]), temperature)
            drawn.append(self.last)
        return torch.stack(drawn)


class Scripted(_Streams):
    """The whole loop compiled by torch.jit.script, sampling included."""

    def __init__(self, shape: dict[str, Any], threads: int, temperature: float, gain: float) -> None:
        super().__init__(shape, threads, temperature, gain)
        self.loop = torch.jit.script(_Loop(self.lstm, self.output))

    def about(self) -> dict[str, Any]:
        return {**super().about(), "device": f"torch {torch.__version__} jit.script"}

    def forget(self) -> None:
        B, layers = self.shape.batch_size, self.shape.layers
        self.h, self.c = ([torch.zeros(B, H) for H in layers] for _ in range(2))

    def draw(self, length: int, temperature: float) -> torch.Tensor:
        drawn, self.h, self.c = self.loop(self.last, self.h, self.c, length, temperature)
        self.last = drawn[-1]
        return drawn


def _drawn(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Sample an id for each row of logits (B, V)."""
    if temperature == 0.0:
        return logits.argmax(-1)
    return torch.multinomial(torch.softmax(logits / temperature, -1), 1)[:, 0]


class _Cell(nn.Module):
    """One step of one layer, with its weights in one matrix.

    The fastest of three variants, in thousand characters per second at 2x128 and 2x512: this one 6.5 and 1.2,
    nn.LSTMCell in the same loop 5.5 and 0.7, nn.LSTM 4.7 and 0.9.
    """

    def __init__(self, W: torch.Tensor) -> None:
        super().__init__()
        self.W = W

    def forward(self, start: torch.Tensor, read: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        i, f, g, o = torch.addmm(start, read, self.W).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class _Loop(nn.Module):
    """Draw ids (length, B) step by step; the first layer gathers a row of its weights instead of multiplying."""

    def __init__(self, lstm: nn.LSTM, output: nn.Linear) -> None:
        super().__init__()
        each = [[getattr(lstm, f"{name}_l{n}").detach() for name in _PARTS] for n in range(lstm.num_layers)]
        W_x, W_h, b, _ = each[0]
        self.table, self.first = W_x.T + b, _Cell(W_h.T.contiguous())
        self.above = nn.ModuleList(_Cell(torch.cat([W_x, W_h], 1).T.contiguous()) for W_x, W_h, _, _ in each[1:])
        self.biases = [b for _, _, b, _ in each[1:]]
        self.output = output

    def forward(
        self, last: torch.Tensor, h: list[torch.Tensor], c: list[torch.Tensor], length: int, temperature: float
    ) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        drawn = torch.empty(length, last.size(0), dtype=torch.long)
        for step in range(length):
            h[0], c[0] = self.first(self.table[last], h[0], c[0])
            for n, cell in enumerate(self.above):
                h[n + 1], c[n + 1] = cell(self.biases[n], torch.cat([h[n], h[n + 1]], 1), c[n + 1])
            last = _drawn(self.output(h[-1]), temperature)
            drawn[step] = last
        return drawn, h, c


TASKS = {"train": Training, "eager": Eager, "scripted": Scripted}

if __name__ == "__main__":
    serve(TASKS)

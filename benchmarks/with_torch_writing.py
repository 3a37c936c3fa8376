"""PyTorch as a contestant in generation: a Python loop of one-step calls, and the loop compiled by torch.jit.script."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .contest import serve
from .precisions import BF16, BF16_MATH, FLOAT32
from .with_torch import Contestant, State, use_bf16_math

_PIECE = 16  # characters drawn per stream between two clock readings
_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _Streams(Contestant):
    """One stream of characters per row of the batch, with carried state.

    Disables oneDNN in float32: it makes training faster but single steps slower. With it the Python loop drew half as
    many characters at 2x128 and a third as many at 2x512; the scripted loop drew two thirds as many.
    """

    def __init__(
        self, shape: dict[str, Any], threads: int, temperature: float, gain: float, precision: str = FLOAT32
    ) -> None:
        super().__init__(shape, threads, gain)
        torch.backends.mkldnn.enabled = precision != FLOAT32
        self.temperature, self.dtype = temperature, torch.bfloat16 if precision == BF16 else torch.float32
        if precision == BF16_MATH:
            x = torch.rand(self.shape.batch_size, self.shape.layers[0])
            use_bf16_math(lambda: x @ self.lstm.weight_hh_l0.T)
        self.lstm.to(self.dtype)
        self.output.to(self.dtype)
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
        self.state: State | None = None

    def draw(self, length: int, temperature: float) -> torch.Tensor:
        drawn = []
        for _ in range(length):
            h, self.state = self.lstm(self.one_hot[self.last][None], self.state)
            self.last = _drawn(self.output(h[0]), temperature)
            drawn.append(self.last)
        return torch.stack(drawn)


class Scripted(_Streams):
    """The whole loop compiled by torch.jit.script, sampling included."""

    def __init__(self, *settings: Any, **named: Any) -> None:
        super().__init__(*settings, **named)
        self.loop = torch.jit.script(_Loop(self.lstm, self.output))

    def about(self) -> dict[str, Any]:
        return {**super().about(), "device": f"torch {torch.__version__} jit.script"}

    def forget(self) -> None:
        B, layers = self.shape.batch_size, self.shape.layers
        self.h, self.c = ([torch.zeros(B, H, dtype=self.dtype) for H in layers] for _ in range(2))

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
            last = _drawn(self.output(h[-1]).float(), temperature)
            drawn[step] = last
        return drawn, h, c


TASKS = {"eager": Eager, "scripted": Scripted}

if __name__ == "__main__":
    serve(TASKS)

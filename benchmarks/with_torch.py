"""PyTorch as a contestant and judge of training: nn.LSTM and Linear in their fastest plain form, eager.

The input is one-hot, as nn.LSTM requires. numlstm's bias is the sum of nn.LSTM's two, so the second is zero and not
trained. With 2x128 and 2x512 neither this nor the choice of Adam's fused, foreach or plain loop made a difference
beyond noise. The code shares only the drawn parameters and text with numlstm.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import shapes
from .contest import AbsentError, serve
from .precisions import BF16, BF16_MATH
from .shapes import Shape

_NAMES = {"weight_ih": "W_x", "weight_hh": "W_h", "bias_ih": "b"}  # and numlstm's

State = tuple[torch.Tensor, torch.Tensor]


class Contestant:
    """nn.LSTM and Linear with the parameters that all contestants get."""

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
            for theirs, name in _NAMES.items():
                getattr(self.lstm, f"{theirs}_l{n}").copy_(named[f"lstm.{n}.{name}"])
            getattr(self.lstm, f"bias_hh_l{n}").zero_().requires_grad_(False)
        self.output.weight.copy_(named["output.W"])
        self.output.bias.copy_(named["output.b"])

    def _loss(self, ids: torch.Tensor, targets: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """Return the loss of a window, and the state after it."""
        h, (h_last, c_last) = self.lstm(self.one_hot[ids], state)
        loss = F.cross_entropy(self.output(h).flatten(0, 1), targets.flatten())
        return loss, (h_last.detach(), c_last.detach())

    def _save_gradients(self, windows: int, path: str, context: contextlib.AbstractContextManager[Any]) -> None:
        """Write each parameter's gradient of a step on the first window under numlstm's names, from a zero state."""
        ids, targets = (torch.from_numpy(each.astype(np.int64)) for each in shapes.first_window(self.shape, windows))
        self.lstm.zero_grad()
        self.output.zero_grad()
        with context:
            loss, _ = self._loss(ids, targets, None)
        torch.autograd.backward(loss)
        gradients = {"output.W": self.output.weight.grad, "output.b": self.output.bias.grad}
        for n in range(len(self.shape.layers)):
            for theirs, name in _NAMES.items():
                gradients[f"lstm.{n}.{name}"] = getattr(self.lstm, f"{theirs}_l{n}").grad
        np.savez(path, **{name: each.numpy().T for name, each in gradients.items()})


@torch.no_grad()
def use_bf16_math(compute: Callable[[], torch.Tensor]) -> None:
    """Let oneDNN round float32 to bf16; raise `AbsentError` if `compute` then gives what it does in float32.

    PyTorch 2.13 passes its own setting on for dense layers. The LSTM takes oneDNN's default, which the environment
    variable ONEDNN_DEFAULT_FPMATH_MODE sets.
    """
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    torch.backends.mkldnn.rnn.fp32_precision = "bf16"
    found = compute()
    torch.backends.mkldnn.enabled = False
    plain = compute()
    torch.backends.mkldnn.enabled = True
    if (found - plain).norm() < 1e-5 * plain.norm():
        raise AbsentError("oneDNN computes in float32 here, even in its bf16 math mode")


class Training(Contestant):
    """Whole training steps, each on the next window of the text, with carried state."""

    def __init__(
        self, shape: dict[str, Any], threads: int, precision: str, windows: int, lr: float, clip: float
    ) -> None:
        super().__init__(shape, threads)
        self.autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == BF16)
        if precision == BF16:
            self._try_bf16()
        elif precision == BF16_MATH:
            x = self.one_hot[torch.arange(2 * self.shape.batch_size) % self.shape.vocab_size]
            use_bf16_math(lambda: self.lstm(x.view(2, self.shape.batch_size, -1))[0])
        T, B = self.shape.seq_len, self.shape.batch_size
        ids = torch.from_numpy(shapes.text(self.shape, windows)).long()
        self.ids = torch.split(ids[:-1].view(B, -1).T.contiguous(), T)
        self.targets = torch.split(ids[1:].view(B, -1).T.contiguous(), T)
        self.clip, self.windows = clip, windows
        self.trained = [p for p in (*self.lstm.parameters(), *self.output.parameters()) if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, lr=lr, betas=(0.9, 0.99), eps=1e-8, fused=True)
        self.state: State | None = None
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

    def save_gradients(self, path: str) -> None:
        self._save_gradients(self.windows, path, self.autocast)

    def _step(self) -> tuple[float, float]:
        if self.window == len(self.ids):
            self.window, self.state = 0, None
        ids, targets = self.ids[self.window], self.targets[self.window]
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            loss, self.state = self._loss(ids, targets, self.state)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        self.window += 1
        return loss.item(), norm.item()


class Exact(Contestant):
    """The gradients of one training step in float64."""

    def __init__(self, shape: dict[str, Any], windows: int) -> None:
        super().__init__(shape, torch.get_num_threads())
        self.windows, self.one_hot = windows, self.one_hot.double()
        self.lstm.double()
        self.output.double()

    def about(self) -> dict[str, Any]:
        return {**super().about(), "device": f"torch {torch.__version__} in float64"}

    def save_gradients(self, path: str) -> None:
        self._save_gradients(self.windows, path, contextlib.nullcontext())


TASKS = {"train": Training, "exact": Exact}

if __name__ == "__main__":
    serve(TASKS)

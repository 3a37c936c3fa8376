"""The shapes that are measured, and the parameters and texts that every contestant is given.

Knows nothing about who computes: plain NumPy, so that numlstm and its judge start from the same numbers.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Shape:
    """A network of LSTM layers and a dense output, and the batch that it is given."""

    layers: tuple[int, ...]
    batch_size: int = 1
    seq_len: int = 1
    vocab_size: int = 65

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))  # it was a list if it came through JSON

    @property
    def name(self) -> str:
        """The shape in a few characters: layers x hidden size, batch, time."""
        batch = f" B{self.batch_size} T{self.seq_len}" if self.batch_size * self.seq_len > 1 else ""
        return f"{len(self.layers)}x{self.layers[0]}{batch}"

    @property
    def flop_per_character(self) -> int:
        """Useful floating-point operations of a training step, per character: 6 x multiply-adds.

        The first layer's projection is not counted: with token ids it is a gather of rows.
        """
        below = (0, *self.layers)
        lstm = sum(4 * H * (H + D) for H, D in zip(self.layers, below, strict=False))
        return 6 * (lstm + self.layers[-1] * self.vocab_size)

    @property
    def symbols(self) -> str:
        """The characters that the ids stand for."""
        return "".join(map(chr, range(ord("0"), ord("0") + self.vocab_size)))


def parameters(shape: Shape, gain: float = 1.0, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """Draw parameters by numlstm's names, uniform in ±gain/sqrt(H): with gain 1 as PyTorch draws them."""
    rng = np.random.default_rng(seed)
    sizes: dict[str, tuple[int, ...]] = {}
    for n, (D, H) in enumerate(zip((shape.vocab_size, *shape.layers), shape.layers, strict=False)):
        sizes |= {f"lstm.{n}.W_x": (D, 4 * H), f"lstm.{n}.W_h": (H, 4 * H), f"lstm.{n}.b": (4 * H,)}
    sizes |= {"output.W": (shape.layers[-1], shape.vocab_size), "output.b": (shape.vocab_size,)}
    bound = gain * shape.layers[-1] ** -0.5
    return {name: rng.uniform(-bound, bound, size).astype(np.float32) for name, size in sizes.items()}


def text(shape: Shape, windows: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw ids (N,) that fill so many windows of a training epoch, as unevenly frequent as letters are."""
    often = 1 / np.arange(1, shape.vocab_size + 1)
    N = shape.batch_size * shape.seq_len * windows + 1
    ids = np.random.default_rng(seed).choice(shape.vocab_size, N, p=often / often.sum())
    return ids.astype(np.uint8)

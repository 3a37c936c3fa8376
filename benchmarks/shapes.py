"""The shapes to measure, and the parameters and texts that all contestants get.

Plain NumPy, so that numlstm and PyTorch start from the same numbers.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of a network of LSTM layers with a dense output, and of its batch."""

    layers: tuple[int, ...]
    batch_size: int = 1
    seq_len: int = 1
    vocab_size: int = 65

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))  # JSON turns tuples into lists

    @property
    def name(self) -> str:
        """A short name: layers x hidden size, batch, time."""
        batch = f" B{self.batch_size} T{self.seq_len}" if self.batch_size * self.seq_len > 1 else ""
        return f"{len(self.layers)}x{self.layers[0]}{batch}"

    @property
    def flop_per_character(self) -> int:
        """Useful floating-point operations per character of a training step: 6 times the multiply-adds.

        The first layer's input product is not counted: with token ids it is a gather of rows.
        """
        below = (0, *self.layers)
        lstm = sum(4 * H * (H + D) for H, D in zip(self.layers, below, strict=False))
        return 6 * (lstm + self.layers[-1] * self.vocab_size)

    @property
    def symbols(self) -> str:
        """The characters that the ids stand for."""
        return "".join(map(chr, range(ord("0"), ord("0") + self.vocab_size)))


def parameters(shape: Shape, gain: float = 1.0, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """Draw parameters under numlstm's names, uniform in ±gain/sqrt(H); gain 1 is PyTorch's initialisation."""
    rng = np.random.default_rng(seed)
    sizes: dict[str, tuple[int, ...]] = {}
    for n, (D, H) in enumerate(zip((shape.vocab_size, *shape.layers), shape.layers, strict=False)):
        sizes |= {f"lstm.{n}.W_x": (D, 4 * H), f"lstm.{n}.W_h": (H, 4 * H), f"lstm.{n}.b": (4 * H,)}
    sizes |= {"output.W": (shape.layers[-1], shape.vocab_size), "output.b": (shape.vocab_size,)}
    bound = gain * shape.layers[-1] ** -0.5
    return {name: rng.uniform(-bound, bound, size).astype(np.float32) for name, size in sizes.items()}


def text(shape: Shape, windows: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw ids (N,) for `windows` windows of a training epoch, with frequencies as uneven as those of letters."""
    often = 1 / np.arange(1, shape.vocab_size + 1)
    N = shape.batch_size * shape.seq_len * windows + 1
    ids = np.random.default_rng(seed).choice(shape.vocab_size, N, p=often / often.sum())
    return ids.astype(np.uint8)


def first_window(shape: Shape, windows: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the ids and the targets (T, B) of the first training step on `text`."""
    ids = text(shape, windows)
    T, B = shape.seq_len, shape.batch_size
    return ids[:-1].reshape(B, -1).T[:T], ids[1:].reshape(B, -1).T[:T]

"""Generate N tokens for each of B streams and their random numbers, and choose between one launch and step by step.

A stream's tokens and state are bit-identical however many other streams there are. Either way, sums over inputs run in
the same order (see `kernels/generation.cu`), and the blocks that draw have the same number of threads.
`numlstm/backends/spec/sampling.py` defines the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import BackendError
from ..protocol import Array, Packed
from ..spec.philox import WORD
from ..spec.sampling import Sampling
from . import generation_steps, path_choice
from .drawing import Drawing, draw_threads, scratch_bytes
from .lazy_cupy import cp
from .modules import blocks_for, launch
from .transfer import asarray, to_numpy

ROWS = (1, 2, 4)  # streams per block: there is a kernel for each


class Network(NamedTuple):
    """The sizes that decide how to run: units of each layer, embedding size (0: none), vocabulary size.

    `plain` is True if no layer has layer norm or a projection; `itemsize` is the bytes of a number.
    """

    units: tuple[int, ...]
    embedding: int
    vocabulary: int
    itemsize: int
    plain: bool

    @property
    def weights(self) -> int:
        """The number of weights read to generate a token, the same for every stream."""
        inputs = (self.embedding, *self.units)
        gates = sum(4 * H * (D + H) for D, H in zip(inputs, self.units, strict=False))
        return gates + self.units[-1] * self.vocabulary

    @property
    def threads(self) -> int:
        """The number of threads of a block that draws."""
        return draw_threads(max(self.units), self.vocabulary)

    def shared(self, rows: int) -> int:
        """Return the bytes of shared memory of a block of `rows` streams: h twice, c, embedding rows, logits, ids."""
        numbers = rows * (3 * sum(self.units) + self.embedding + self.vocabulary)
        return scratch_bytes(self.threads, self.vocabulary) + numbers * self.itemsize + rows * 4


def uniforms(seed: int, streams: Sequence[int], first: int, count: int) -> Array:
    """Return the random numbers (count, B) of `spec.philox.uniforms`, in float64, computed on the device."""
    out = cp.empty((count, len(streams)), np.float64)
    if out.size:
        key = (np.uint32(seed % WORD), np.uint32(seed // WORD % WORD))
        numbers = asarray(np.asarray(streams, np.int64).astype(np.uint32))
        sizes = (np.uint64(first), np.int64(count), np.int32(len(streams)))
        launch(
            "generation", "uniform_numbers", np.float32, blocks_for(out.size, 256), (256,), (out, numbers, *key, *sizes)
        )
    return out


def pack_rounded(layers: Sequence[Packed], output: Packed, rounding: str) -> Packed:
    raise BackendError(f"the device gpu draws in float32; precision {rounding} needs `device` cpu or reference")


def generate(
    layers: Sequence[Packed],
    output: Packed,
    state: Sequence[tuple[Array, Array]],
    ids: Array,
    uniforms: Array,
    sampling: Sampling,
    embedding: Array = None,
    rounded: Packed = None,
) -> tuple[npt.NDArray[np.int32], list[tuple[Array, Array]]]:
    """Draw tokens (N, B) as `Backend.generate` describes. All work is queued; the host waits once, for the tokens."""
    N, B = uniforms.shape
    carried = [(h.copy(), c.copy()) for h, c in state]
    if not N * B:
        return np.empty((N, B), np.int32), carried
    numbers, read = asarray(uniforms, np.float64), asarray(ids, np.int32)
    drawn = cp.empty((N, B), np.int32)
    network = _network(layers, output, embedding)
    rows = choose(network, B, path_choice.device())
    blocks = -(-B // rows) if rows else min(B, 4 * path_choice.device().multiprocessors)
    drawing = Drawing.of(sampling, network.vocabulary, network.threads, blocks)
    if rows:
        _in_one_launch(network, rows, layers, output, carried, read, numbers, drawing, drawn, embedding)
    else:
        generation_steps.by_steps(layers, output, carried, read, numbers, drawing, drawn, embedding)
    return to_numpy(drawn), carried


def choose(network: Network, B: int, device: path_choice.Device) -> int:
    """Return the number of streams per block to generate in one launch, or 0 to generate step by step.

    In one launch, a block owns `rows` streams and reads all weights of the network through L2 for each token. Each
    multiprocessor runs one block at a time, so more blocks than multiprocessors take several rounds. The expected time
    per token is

        rounds * max(weights * bytes / L2_BYTES,  rows * 2 * weights / FLOPS)

    Step by step, a token takes two launches per layer and two more for the logits and the draw. All multiprocessors
    share the products, which read each weight once for 16 streams:

        launches * LAUNCH
            + max(streams / 16 * weights * bytes / L2_BYTES,  2 * weights * streams / (FLOPS / 2)) / multiprocessors

    The constants are those of `path_choice.py`: estimates, not measurements. For one stream in float32 they put the
    break-even point near two layers of 220 units on an H100. NUMLSTM_GPU_PATH=resident or steps overrides the choice.

    Layers with layer norm or a projection, and networks whose state and logits are too large for the shared memory of a
    block, always run step by step. Raises `BackendError` for other values of NUMLSTM_GPU_PATH, and for resident if a
    plain network does not fit.
    """
    path = path_choice.asked()
    if path == "steps" or not network.plain:
        return 0
    fitting = [rows for rows in ROWS if network.shared(rows) <= device.shared]
    if not fitting:
        if path == "resident":
            raise BackendError(
                f"{path_choice.VARIABLE} is resident, but drawing from {network.vocabulary} tokens with layers of "
                f"{', '.join(map(str, network.units))} units needs {network.shared(1)} bytes of shared memory, and a "
                f"block may have {device.shared}: leave it out"
            )
        return 0
    best = min(fitting, key=lambda rows: _launch_seconds(network, B, rows, device))
    slow = _launch_seconds(network, B, best, device) > _steps_seconds(network, B, device)
    return 0 if slow and not path else best


def _launch_seconds(network: Network, B: int, rows: int, device: path_choice.Device) -> float:
    rounds = math.ceil(-(-B // rows) / device.multiprocessors)
    reading = network.weights * network.itemsize / path_choice.L2_BYTES
    return rounds * max(reading, rows * 2 * network.weights * (network.itemsize / 4) / path_choice.FLOPS)


def _steps_seconds(network: Network, B: int, device: path_choice.Device) -> float:
    reading = -(-B // generation_steps.STREAMS[-1]) * network.weights * network.itemsize / path_choice.L2_BYTES
    work = 2 * network.weights * B * (network.itemsize / 4) / (path_choice.FLOPS * path_choice.PRODUCT_SHARE)
    return (2 * len(network.units) + 2) * path_choice.LAUNCH + max(reading, work) / device.multiprocessors


def _network(layers: Sequence[Packed], output: Packed, embedding: Array) -> Network:
    W, _ = output.weights
    return Network(
        tuple(layer.hidden_size for layer in layers),
        0 if embedding is None else embedding.shape[1],
        W.shape[1],
        W.dtype.itemsize,
        all(layer.variant.gain is None and layer.variant.W_p is None for layer in layers),
    )


def _in_one_launch(
    network: Network,
    rows: int,
    layers: Sequence[Packed],
    output: Packed,
    state: Sequence[tuple[Array, Array]],
    ids: Array,
    uniforms: Array,
    drawing: Drawing,
    drawn: Array,
    embedding: Array,
) -> None:
    W, b = output.weights
    N, B = drawn.shape
    table = asarray(np.array([_row(*each) for each in zip(layers, state, strict=True)], np.int64))
    sizes = (np.int32(len(layers)), W if embedding is None else embedding, np.int32(network.embedding))
    text = (ids, uniforms, drawn, np.int32(N), np.int32(B))
    launch(
        "generation",
        f"write_{rows}",
        W.dtype,
        (-(-B // rows),),
        (network.threads,),
        (table, *sizes, W, b, np.int32(network.vocabulary), *drawing.arguments(), *text),
        shared=network.shared(rows),
    )


def _row(layer: Packed, state: tuple[Array, Array]) -> list[int]:
    """Return a layer's row of the table: addresses of its weights and state, its sizes, and 1 for hard gates."""
    arrays = (*layer.weights, *state)
    sizes = (layer.weights[0].shape[0], layer.hidden_size, int(layer.variant.hard))
    return [*(array.data.ptr for array in arrays), *sizes]

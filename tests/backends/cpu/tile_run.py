"""Compute products, layers and an output layer in tiles; save every result: `python tile_run.py OUT.npz [THREADS...]`.

`test_tiles.py` runs this in its own process, because NUMLSTM_AMX decides what is compiled.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from numlstm.backends import cpu
from numlstm.backends.cpu import tiles
from numlstm.backends.cpu.jit import kernel
from numlstm.backends.cpu.simd import vector_code
from numlstm.backends.spec.dropout import Dropout
from numlstm.network.network import Network

ROWS = (1, 7, 8, 15, 16, 17, 31, 32, 33, 50, 65, 100, 129)
LAYERS = (
    (3, 1, 1, 1),
    (2, 7, 20, 30),
    (3, 33, 96, 100),
    (2, 129, 40, 256),
    (4, 50, 64, 64),
    (2, 40, 5, 512),
)  # T B D H
TOKENS = ((4, 16, 11, 33), (2, 65, 70, 96))
DENSE = ((1, 1, 2), (7, 30, 65), (130, 100, 64), (600, 64, 200))  # N H V

Array = npt.NDArray[Any]
Arrays = dict[str, Array]


@vector_code
def _multiply(emit, config, rows, a, b, out):
    tiles.multiply_rows(emit, config, rows, [(a, 1, b)], out)


@kernel
def _product(palettes, a, b, out):
    rows = tiles.tile_rows(out.shape[0])
    tiles.configure(palettes[rows])
    _multiply(palettes[rows], rows, a, b, out)
    tiles.release(palettes[rows])


def to_bf16(values: Array) -> npt.NDArray[np.uint16]:
    """Round float32 numbers to bf16, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def products() -> Arrays:
    """Return factors as bf16 words, a (rows, K) and b (K, 64), and their products."""
    found: Arrays = {}
    for rows in ROWS:
        draw, K = np.random.default_rng(rows), 32 * (1 + rows % 3)
        a, b = to_bf16(draw.standard_normal((rows, K))), to_bf16(draw.standard_normal((K, 64)))
        packed = np.ascontiguousarray(b.reshape(K // 2, 2, 64).transpose(0, 2, 1)).view(np.int32).reshape(K // 2, 64)
        out = np.zeros((rows, 64), np.float32)
        _product(tiles.PALETTES, np.ascontiguousarray(a).view(np.int32), packed, out)
        found |= {f"product/{rows}/a": a, f"product/{rows}/b": b, f"product/{rows}/out": out}
    return found


def layer(shape: tuple[int, int, int, int], tokens: bool) -> Arrays:
    """Return all results of a layer's forward and backward pass."""
    T, B, D, H = shape
    draw = np.random.default_rng(sum(shape))

    def normal(*size: int) -> Array:
        return draw.standard_normal(size).astype(np.float32)

    W_x, W_h, b = normal(D, 4 * H) / D**0.5, normal(H, 4 * H) / H**0.5, normal(4 * H)
    x = draw.integers(0, D, (T, B)).astype(np.int32) if tokens else normal(T, B, D)
    h0, c0, dh = np.tanh(normal(B, H)), normal(B, H), normal(T, B, H)
    packed = cpu.pack_lstm(W_x, W_h, b, tokens=tokens, precision="bf16")
    h, (h1, c1), tape = cpu.lstm_forward(x, packed, h0, c0)
    found = {"h": h.copy(), "h1": h1, "c1": c1}
    dW_x, dW_h, db = np.ones_like(W_x), np.ones_like(W_h), np.ones_like(b)
    dx, dh0, dc0 = cpu.lstm_backward(dh, packed, tape, dW_x, dW_h, db)
    found |= {"dW_x": dW_x, "dW_h": dW_h, "db": db, "dh0": dh0, "dc0": dc0}
    return found | ({} if tokens else {"dx": dx.copy()})


def dense(shape: tuple[int, int, int]) -> Arrays:
    """Return all results of an output layer."""
    N, H, V = shape
    draw = np.random.default_rng(sum(shape))
    h, W, b, dlogits = (draw.standard_normal(size).astype(np.float32) for size in ((N, H), (H, V), V, (N, V)))
    packed = cpu.pack_dense(W, b, precision="bf16")
    dW, db = np.ones_like(W), np.ones_like(b)
    logits = cpu.dense_forward(h, packed)
    return {"logits": logits, "dh": cpu.dense_backward(dlogits, h, packed, dW, db), "dW": dW, "db": db}


NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "embedding": {"embedding": 8},
    "tied": {"embedding": 20, "tie_weights": True},
    "layer norm": {"layer_norm": True},
    "projection": {"projection": 12},
    "hard gates": {"gate_activation": "hard-sigmoid"},
}
DROPOUTS = {"none": Dropout(), "between": Dropout(0.3, 0.0, 1, 2), "within": Dropout(0.2, 0.4, 1, 2)}


def networks(precision: str) -> Arrays:
    """Return the gradients of networks with each option, and a text that each writes."""
    found: Arrays = {}
    for name, options in NETWORKS.items():
        network = Network.create(31, (20, 20), device="cpu", precision=precision, **options)
        x, y = (np.random.default_rng(seed).integers(0, 31, (6, 33)).astype(np.int32) for seed in (1, 2))
        for kind, dropout in DROPOUTS.items():
            loss, _ = network.gradients_(x, y, dropout=dropout)
            found[f"network {name}, dropout {kind}"] = np.append(network.grads, np.float32(loss))
        state, uniforms = network.zero_state(3), np.random.default_rng(3).random((40, 3))
        drawn, _ = network.draw(np.zeros(3, np.int32), state, uniforms)
        found[f"drawn {name}"] = drawn
    return found


def main(out: str, *threads: str) -> None:
    found = products()
    for count in threads or ("1",):
        cpu.set_threads(int(count))
        cases = {f"layer {shape}": layer(shape, False) for shape in LAYERS}
        cases |= {f"tokens {shape}": layer(shape, True) for shape in TOKENS}
        cases |= {f"dense {shape}": dense(shape) for shape in DENSE}
        found |= {f"{count}/{case}/{name}": array for case, arrays in cases.items() for name, array in arrays.items()}
    cpu.set_threads(2)
    for precision in ("float32", "bf16"):
        found |= {f"{precision} {name}": array for name, array in networks(precision).items()}
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])

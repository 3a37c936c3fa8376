"""The GPU backend: CuPy arrays and our own CUDA kernels.

The functions implement the `Backend` protocol, whose docstrings describe their arguments and results. The modules:

    probe.py        whether the GPU works, and what is missing
    device.py       the GPU's properties; description.py: those that a report shows
    lazy_cupy.py    CuPy, imported on first use
    modules.py      compiles and launches the kernels (kernels/*.cu)
    transfer.py     arrays to the device and back; the training text on the device
    device_numbers.py  numbers that stay on the device until they are read
    products.py     matrix products, by cuBLAS
    path_choice.py  how a layer of a given size is run
    columns.py      sums over all rows of a sequence
    recurrence.py   one layer over a whole sequence, forward and backward
    variants.py     the same for layers with layer norm or a projection
    dense.py        the output layer and the loss
    masks.py        dropout and embedding rows
    updates.py      gradient norm, Adam and the other optimizers
    generation.py   drawing tokens

Work is queued on CuPy's current stream; only `to_numpy`, `generate` and float() of a number wait for it. Sums are
accumulated in a fixed order, so the same input gives the same bits. The package can be imported without CuPy, but then
only `available` is of use.
"""

from __future__ import annotations

from .dense import dense_backward, dense_forward, pack_dense, softmax_cross_entropy
from .description import about
from .device import describe
from .generation import generate, pack_rounded, uniforms
from .masks import dropout, embed, embed_backward
from .probe import available
from .recurrence import lstm_backward, lstm_forward, pack_lstm
from .transfer import asarray, hold, to_numpy, window, zeros
from .updates import adam_, approach_, clamp_, global_norm, unscale_, update_

__all__ = [
    "about",
    "adam_",
    "approach_",
    "asarray",
    "available",
    "clamp_",
    "dense_backward",
    "dense_forward",
    "describe",
    "dropout",
    "embed",
    "embed_backward",
    "generate",
    "global_norm",
    "hold",
    "lstm_backward",
    "lstm_forward",
    "pack_dense",
    "pack_lstm",
    "pack_rounded",
    "set_threads",
    "softmax_cross_entropy",
    "to_numpy",
    "uniforms",
    "unscale_",
    "update_",
    "window",
    "zeros",
]

name = "gpu"
queued = True


def set_threads(threads: int | None) -> int:
    return 1  # host threads: the device has its own

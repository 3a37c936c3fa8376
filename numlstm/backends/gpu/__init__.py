"""The GPU backend: CuPy arrays and our own CUDA kernels.

The functions are those of the `Backend` protocol, whose docstrings say what goes in and out. The rooms:

    probe.py        whether there is a GPU that works, and what is missing
    device.py       what it is, and description.py what a report tells of it
    lazy_cupy.py    CuPy, imported when it is first used
    modules.py      the kernels' texts (kernels/*.cu): compiled, and launched
    transfer.py     arrays to the device and back; the text that lies there
    device_numbers.py  numbers that are left on the device until someone reads them
    products.py     matrix products, by cuBLAS
    path_choice.py  how a layer of a given size is run
    columns.py      sums over all rows of a sequence
    recurrence.py   one layer over a whole sequence, forward and backward
    variants.py     the same for layers with layer norm or a projection
    dense.py        the output layer and the loss
    masks.py        dropout, and rows of an embedding
    updates.py      gradient norm, Adam and the other optimizers
    generation.py   drawing tokens

Work is queued on CuPy's current stream; only `to_numpy`, `generate` and float() of a number wait for it. Sums are added
up in a fixed order, so that the same input gives the same bits. The package can be imported without CuPy; nothing else
of it can be used then. Knows nothing about networks of several layers, training, files or texts.
"""

from __future__ import annotations

from .dense import dense_backward, dense_forward, pack_dense, softmax_cross_entropy
from .description import about
from .device import describe
from .generation import generate, uniforms
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
    return 1  # of this machine's: the device has its own

"""The interface between the network and the device: the functions that every backend provides.

Callers treat a backend's arrays as opaque, apart from slicing and reshaping, which every kind of array supports.

Shapes: T time steps, B rows of the batch, D inputs, H hidden units, V outputs. Gates in the order i f g o.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, SupportsFloat

import numpy as np
import numpy.typing as npt

from .spec.dropout import Mask
from .spec.sampling import Sampling
from .spec.variant import PLAIN, Variant

Array = Any
Packed = Any
Tape = Any
Number = SupportsFloat  # on a device that queues its work, float() waits for the result


class Backend(Protocol):
    """The functions of a backend module. None writes to an argument unless its docstring says so.

    A packed weight (`pack_lstm`, `pack_dense`) holds weights in the layout that the backend reads fastest. Pack again
    after each update, passing the old packed weight so that its memory is reused. A tape holds what the backward pass
    needs from the forward pass. Pass it to the next forward pass to reuse its memory.

    `queued` is True if the device runs its work asynchronously: functions return before their results are computed, and
    only `to_numpy`, `generate` and float() of a number wait.
    """

    name: str
    queued: bool

    def available(self) -> str:
        """Return "" if the backend works on this machine, else one line that says what is missing."""

    def describe(self) -> str:
        """Return a short description of the device and its threads."""

    def about(self) -> dict[str, str]:
        """Return the device's sizes and software versions by name, for a report."""

    def set_threads(self, threads: int | None) -> int:
        """Set the number of threads (None: one per core); return the number in use."""

    def asarray(self, values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array:
        """Return a copy of `values` on the device."""

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """Return a copy of `array` as a NumPy array."""

    def zeros(self, shape: int | Sequence[int], dtype: npt.DTypeLike) -> Array:
        """Return zeros on the device."""

    def pack_lstm(
        self,
        W_x: Array,
        W_h: Array,
        b: Array,
        *,
        tokens: bool,
        precision: str = "",
        variant: Variant = PLAIN,
        packed: Packed = None,
    ) -> Packed:
        """Pack a layer: W_x (D, 4H), W_h (R, 4H), b (4H); `tokens` is True if its input is token ids.

        R is the size of h: H, unless the variant has a projection.

        Products use the weights' own precision or, with "bf16", factors rounded to bf16 and sums in float32. Layers for
        which the backend has no such kernels are computed in float32. Raises `BackendError` if the backend or the
        processor does not support the precision.
        """

    def pack_dense(self, W: Array, b: Array, *, precision: str = "", packed: Packed = None) -> Packed:
        """Pack a dense layer: W (H, V), b (V). With a `precision`, the factors may be rounded to it or stay float32."""

    def pack_rounded(self, layers: Sequence[Packed], output: Packed, rounding: str) -> Packed:
        """Return the packed layers and output, whose weights are rounded already, in the form that `generate` reads.

        `rounding` is "bf16" or "int8": see `spec/rounding.py`. Returns None if the backend has no such form for these
        layers; `generate` then reads the packed weights, which hold the same numbers. Raises `BackendError` if the
        backend does not support rounded weights.
        """

    def lstm_forward(
        self, x: Array, packed: Packed, h0: Array, c0: Array, *, mask: Mask | None = None, tape: Tape = None
    ) -> tuple[Array, tuple[Array, Array], Tape]:
        """Run one layer over a whole sequence.

        x is (T, B) token ids or (T, B, D) activations; h0 is (B, R), c0 (B, H). `mask` is the recurrent
        dropout mask (B, R), the same at all steps. Returns h (T, B, R), copies of the last state (h, c), and the tape.
        h is part of the tape and valid until the tape is reused.
        """

    def lstm_backward(
        self,
        dh: Array,
        packed: Packed,
        tape: Tape,
        dW_x: Array,
        dW_h: Array,
        db: Array,
        dvariant: Variant = PLAIN,
    ) -> tuple[Array | None, Array, Array]:
        """Backpropagate through the sequence of the tape, given dh (T, B, R).

        Adds to dW_x, dW_h, db and the arrays of `dvariant`, one for each array of the layer's variant. Returns dx
        (T, B, D), or None for token ids, and dh0 (B, R), dc0 (B, H). Consumes the tape.
        """

    def embed(self, ids: Array, W: Array) -> Array:
        """Return the rows (T, B, E) of W (V, E) selected by ids (T, B)."""

    def embed_backward(self, dx: Array, ids: Array, dW: Array) -> None:
        """Add each row of dx (T, B, E) to the row of dW (V, E) selected by its id."""

    def dropout(self, x: Array, mask: Mask, *, out: Array = None) -> Array:
        """Return x (T, B, H) times the mask's factors; written to `out`, which may be x, if it fits.

        Also computes the gradient of x: pass the gradient of the result.
        """

    def dense_forward(self, h: Array, packed: Packed, *, out: Array = None) -> Array:
        """Return the logits h W + b, (N, V), for h (N, H); written to `out` if it fits."""

    def dense_backward(self, dlogits: Array, h: Array, packed: Packed, dW: Array, db: Array) -> Array:
        """Add to dW (H, V) and db (V); return dh (N, H)."""

    def softmax_cross_entropy(self, logits: Array, targets: Array, *, scale: Array = None) -> tuple[Number, Array]:
        """Return the mean loss in nats over the N rows and its gradient (N, V), which may overwrite the logits.

        The gradient, but not the loss, is multiplied by the first entry of `scale` (see `unscale_`), if given.
        """

    def global_norm(self, grads: Array) -> Number:
        """Return the Euclidean norm of a flat array."""

    def unscale_(self, grads: Array, scale: Array) -> Number:
        """Divide a flat array by the loss scale in place, adjust the scale, and return the norm of the result.

        `scale` is a float64 array: the loss scale and the number of updates since it changed. `Scaling` has the rules.
        """

    def adam_(
        self,
        params: Array,
        grads: Array,
        m: Array,
        v: Array,
        *,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        norm: Number,
        clip: float,
        l2: float = 0.0,
        decay: float = 0.0,
        packed: Sequence[Packed] = (),
    ) -> None:
        """Apply update number `step` (from 1) of Adam to params, m and v in place.

        The gradients, whose norm is `norm`, are multiplied by `clipping(norm, clip)`. If the norm is not finite,
        nothing changes. `l2` times the parameters is added to the gradients, as in PyTorch's Adam. With `decay` the
        parameters are first multiplied by 1 - lr * decay, as in its AdamW. `packed` holds the packed weights of all of
        params, which are repacked, or is empty.
        """

    def update_(
        self,
        rule: str,
        params: Array,
        grads: Array,
        slots: Sequence[Array],
        *,
        lr: float,
        norm: Number,
        clip: float,
        settings: Mapping[str, float],
    ) -> None:
        """Update params and the slots in place by a rule other than Adam; gradients are clipped as in `adam_`.

        The rules and their slots: sgd, none; momentum, velocity; rmsprop, square and, with momentum, velocity; adagrad,
        sum; ftrl, accumulator and linear. `settings` holds the numbers that the rule reads, as listed in
        `settings/training.py`.
        """

    def clamp_(self, values: Array, bound: float) -> None:
        """Clamp every finite entry of a flat array to [-bound, bound]; infinity and NaN stay, so that they show."""

    def approach_(self, values: Array, to: Array, share: float) -> None:
        """Move every entry of a flat array by the fraction `share` of the way to the entry of `to`."""

    def hold(self, ids: npt.NDArray[Any]) -> Array | None:
        """Copy an encoded text (N,), which may be memory-mapped, to the device; return None to leave it where it is.

        Returns None on a device that reads host memory, and if the text would take more than a quarter of the device's
        free memory.
        """

    def window(self, text: Array, starts: npt.NDArray[np.int64], length: int) -> tuple[Array, Array]:
        """Return inputs and targets, int32 (length, B): the windows at `starts (B)` of a text that `hold` returned.

        Entry [t, b] of the targets is the token after entry [t, b] of the inputs. Bounds are not checked.
        """

    def uniforms(self, seed: int, streams: Sequence[int], first: int, count: int) -> Array:
        """Return the random numbers (count, B) that `spec.philox.uniforms` defines, in float64."""

    def generate(
        self,
        layers: Sequence[Packed],
        output: Packed,
        state: Sequence[tuple[Array, Array]],
        ids: Array,
        uniforms: Array,
        sampling: Sampling,
        embedding: Array = None,
        rounded: Packed = None,
    ) -> tuple[npt.NDArray[np.int32], list[tuple[Array, Array]]]:
        """Draw N tokens for each of B streams, carrying the state from token to token.

        Reads ids (B), then each token drawn. Tokens are drawn with `uniforms (N, B)` in [0, 1) from the distribution
        defined in `spec/sampling.py`, each stream with its own settings. With `embedding (V, E)` the first layer reads
        its rows. `rounded` is what `pack_rounded` returned. Returns the tokens (N, B) and the state after reading all
        of them but the last.
        """

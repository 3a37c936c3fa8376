"""The seam between the network and the machine that computes it: what a backend offers.

Whoever holds a backend holds its arrays as opaque values, apart from slicing and reshaping, which every kind of array
offers.

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
Number = SupportsFloat  # on a device that queues its work reading one, by float(), waits for it


class Backend(Protocol):
    """What a backend module offers. No function writes to an argument unless it says so.

    A packed weight (`pack_lstm`, `pack_dense`) is a copy in whatever order the backend reads best: pack again
    after each update, handing back the old one so that its memory is used again. A tape is what a forward
    pass leaves for the backward pass; handing it to the next forward pass uses its memory again.

    `queued` says that the device's work is queued: what a function returns is computed later, and only `to_numpy`,
    `generate` and float() of a number wait for it.
    """

    name: str
    queued: bool

    def available(self) -> str:
        """Return "" if the backend works on this machine, else one line that says what is missing."""

    def describe(self) -> str:
        """Return the device and its threads in a few words."""

    def about(self) -> dict[str, str]:
        """Return what somebody who reads a report of this device would ask about it, by name: sizes and versions."""

    def set_threads(self, threads: int | None) -> int:
        """Use so many threads from now on (None: one per core); return how many they are."""

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
        """Pack a layer: W_x (D, 4H), W_h (R, 4H), b (4H); `tokens` says that its input will be token ids.

        R is the size of h: H, unless the variant has a projection.

        Products are of the weights' own precision or, with "bf16", of factors rounded to bf16 with sums in float32.
        Raises `BackendError` if the backend or the processor cannot do so.
        """

    def pack_dense(self, W: Array, b: Array, *, packed: Packed = None) -> Packed:
        """Pack a dense layer: W (H, V), b (V)."""

    def lstm_forward(
        self, x: Array, packed: Packed, h0: Array, c0: Array, *, mask: Mask | None = None, tape: Tape = None
    ) -> tuple[Array, tuple[Array, Array], Tape]:
        """Run one layer over a whole sequence.

        x is (T, B) token ids or (T, B, D) activations; h0 is (B, R), c0 (B, H). `mask`, of (B, R), is what the
        layer does not see of its own h, the same at all steps. Returns h (T, B, R), the last state (h, c) as copies,
        and the tape. h is part of the tape: it lasts until the tape is used again.
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
        """Run backpropagation through time over the sequence of the tape, given dh (T, B, R).

        Adds to dW_x, dW_h, db and the arrays of `dvariant`, one for each of the layer's variant. Returns dx (T, B, D),
        None for token ids, and dh0 (B, R), dc0 (B, H). Uses up the tape.
        """

    def embed(self, ids: Array, W: Array) -> Array:
        """Return the rows (T, B, E) of W (V, E) that ids (T, B) choose."""

    def embed_backward(self, dx: Array, ids: Array, dW: Array) -> None:
        """Add each of dx (T, B, E) to the row of dW (V, E) that its id chose."""

    def dropout(self, x: Array, mask: Mask, *, out: Array = None) -> Array:
        """Return x (T, B, H) with what the mask leaves out at 0; written to `out`, which may be x, if that fits.

        Its own gradient: hand in that of the result.
        """

    def dense_forward(self, h: Array, packed: Packed, *, out: Array = None) -> Array:
        """Return the logits h W + b, (N, V), for h (N, H); written to `out` if it fits."""

    def dense_backward(self, dlogits: Array, h: Array, packed: Packed, dW: Array, db: Array) -> Array:
        """Add to dW (H, V) and db (V); return dh (N, H)."""

    def softmax_cross_entropy(self, logits: Array, targets: Array, *, scale: Array = None) -> tuple[Number, Array]:
        """Return the mean loss in nats over the N rows and its gradient (N, V), made in place of the logits.

        The gradient, not the loss, is multiplied by the first entry of `scale` (see `unscale_`), if that is given.
        """

    def global_norm(self, grads: Array) -> Number:
        """Return the Euclidean norm of a flat array."""

    def unscale_(self, grads: Array, scale: Array) -> Number:
        """Divide a flat array by the loss scale, in place; return its norm then; and adjust the scale to the norm.

        `scale` is a float64 array: the loss scale and the number of updates since it changed. See `Scaling`.
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
        """Update params, m and v in place by update number `step` (from 1) of Adam.

        The gradients, of the norm `norm`, are multiplied by what `clipping` returns for it and `clip`; a norm that is
        not finite leaves everything as it was. `l2` times the parameters are added to the gradients, as PyTorch's Adam
        does; with `decay` the parameters shrink by lr * decay first, as its AdamW has it. `packed` are the packed
        weights of all of params, which are packed anew, or none.
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
        """Update params and the slots in place by a rule other than Adam, the gradients clipped as `adam_` does.

        The rules: sgd; momentum, whose slot is velocity; rmsprop: square and, with momentum, velocity; adagrad: sum;
        ftrl: accumulator and linear. `settings` holds the numbers that the rule reads: `settings/training.py` lists
        them.
        """

    def clamp_(self, values: Array, bound: float) -> None:
        """Bring every finite entry of a flat array into [-bound, bound]; one that is not stays, so that it is seen."""

    def approach_(self, values: Array, to: Array, share: float) -> None:
        """Move every entry of a flat array by that share of the way to the entry of `to`."""

    def hold(self, ids: npt.NDArray[Any]) -> Array | None:
        """Return an encoded text (N,), perhaps mapped from a file, on the device; None if it better stays where it is.

        So it is on a device that reads this machine's memory, and where it would take more than a quarter of the
        device's.
        """

    def window(self, text: Array, starts: npt.NDArray[np.int64], length: int) -> tuple[Array, Array]:
        """Return inputs and targets, int32 (length, B), of a text that `hold` returned, from each of `starts (B)` on.

        Entry [t, b] of the targets is the token after the one of the inputs. Nothing is checked.
        """

    def uniforms(self, seed: int, streams: Sequence[int], first: int, count: int) -> Array:
        """Return the random numbers (count, B) that `spec.philox.uniforms` states, in float64."""

    def generate(
        self,
        layers: Sequence[Packed],
        output: Packed,
        state: Sequence[tuple[Array, Array]],
        ids: Array,
        uniforms: Array,
        sampling: Sampling,
        embedding: Array = None,
    ) -> tuple[npt.NDArray[np.int32], list[tuple[Array, Array]]]:
        """Draw N tokens for each of B streams, one after the other, the state carried along.

        Reads ids (B), draws by `uniforms (N, B)` in [0, 1) from the distribution that `spec/sampling.py` states,
        each stream with its own settings, and reads what it drew. With `embedding (V, E)` the first layer reads its
        rows.
        Returns the tokens (N, B) and the state after all of them but the last was read.
        """

"""Check a backend's gradients on this machine: by finite differences, and against the `reference` backend.

Each entry of each array of a subject (see `gradient_cases.py`) is perturbed. The change in the scalar that the
backend's own forward pass computes, in float64, must match its backward pass. Other backends must also agree with
`reference`, in outputs and gradients, in float64, in float32, and in each of bf16, tf32 and fp16 that they support.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..backends import registry
from ..backends.protocol import Backend
from ..errors import BackendError
from .gradient_cases import Dense, GradientCase, Loss, Named, Network, Sizes, Stack, Values

ALLOWED = 1e-7  # finite differences in float64
FLOOR = 1e-3


class Agreement(NamedTuple):
    """The criterion for agreement with `reference`: `allowed` relative error and its `floor` (see `relative_error`)."""

    dtype: str
    allowed: float
    floor: float


# bf16: rounding a factor to 8 significant bits gives a relative error of up to 2^-9. The inputs are already rounded, so
# only h and the gate gradients are rounded, and they pass through several products: the next step's, the next layer's,
# and the weight gradients'. 2^-6 allows eight such errors to add up. It is relative to an array's largest entry,
# because small entries may be differences of larger terms. Measured: 0.54 %; over 30 other seeds a median of 0.7 %, and
# 2.2 % once, for a layer of one unit with only small entries.
# tf32 and fp16: 11 significant bits. The inputs are rounded here; a GPU may truncate its own h and gradients, with a
# relative error of up to 2^-10. 2^-8 allows four times that. Not yet measured on a GPU.
AGREEMENTS = {
    "float64": Agreement("float64", 1e-10, FLOOR),
    "float32": Agreement("float32", 1e-4, 0.03),
    "bf16": Agreement("float32", 2**-6, 1.0),
    "tf32": Agreement("float32", 2**-8, 1.0),
    "fp16": Agreement("float32", 2**-8, 1.0),
}
ROUNDED = {"bf16": 8, "tf32": 11, "fp16": 11}  # significant bits of the factors, by precision

# Sixth-order central differences: the error, h^6 / 140 times the seventh derivative, is small enough for a long step h,
# and a long step reduces the effect of the loss's rounding, which is divided by h. Measured: half or twice this step is
# worse.
_STEP = 0.01
# Shorter for layer norm, which divides by the standard deviation of a few units and so has higher curvature.
_SHORTER = 0.2
_STENCIL = ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60))


@dataclasses.dataclass(frozen=True)
class Row:
    """The result for one array: its `shape`, the relative `error` of its worst entry, and the `allowed` error."""

    what: str
    shape: tuple[int, ...]
    error: float
    allowed: float

    @property
    def ok(self) -> bool:
        """True if the error is within the allowed error; False for NaN."""
        return self.error <= self.allowed

    @property
    def kind(self) -> str:
        """The kind of check: finite differences, or comparison with the reference in some precision."""
        title = self.what.rpartition(":")[0]
        return next((f"to reference, {each}" for each in AGREEMENTS if title.endswith(each)), "finite differences")


# All sizes of a subject differ, so that a mix-up of axes fails.
SMALL = (Sizes(4, 2, 5, 7, (3,)), Sizes(4, 2, 5, 7, (3, 1)), Sizes(4, 2, 7, 6, (3, 1, 5)))
# Each option alone, then combined. No layer has a single unit, because layer norm would make it zero.
VARIANTS = (
    Sizes(3, 2, 4, 5, (3,), projection=6),
    Sizes(3, 2, 4, 5, (6,), layer_norm=True),
    Sizes(3, 2, 4, 5, (3,), hard=True),
    Sizes(4, 2, 5, 7, (4,), recurrent=0.4),
    Sizes(3, 2, 4, 5, (3,), embedding=6, rate=0.4),
    Sizes(3, 4, 3, 7, (6, 5), 2, 2, layer_norm=True, tie_weights=True, hard=True, rate=0.3, recurrent=0.2),
)
LARGE = Sizes(5, 7, 11, 70, (33, 18, 20))  # several SIMD registers wide, for the comparison with `reference`
# Odd sizes, for kernels that process numbers in pairs: one step of one row, one row, one input and unit, and more rows
# than a gradient kernel takes at a time. Arrays of a few entries are avoided: their sums could be near zero by chance.
PAIRED = (Sizes(1, 1, 7, 3, (9,)), Sizes(6, 1, 5, 9, (7, 8)), Sizes(8, 6, 1, 5, (1,)), Sizes(29, 7, 9, 11, (17, 8)))


def check(backend: Backend, *, seed: int = 0, threads: int | None = None) -> Iterator[Row]:
    """Check all gradients of a backend on arrays drawn from `seed`; yield a row per array.

    Finite differences run on one thread, because they are thousands of tiny calls. The backend is then set to `threads`
    (None: one per core) and stays so. Raises `ConfigError` if it does not have that many.
    """
    backend.set_threads(1)
    try:
        for subject in _small_subjects(seed):
            yield from against_finite_differences(backend, subject)
    finally:
        backend.set_threads(threads)
    if backend.name == "reference":
        return
    for dtype in ("float64", "float32"):
        for subject in _subjects(LARGE, seed):
            yield from against_reference(backend, subject, dtype)


def check_rounded(backend: Backend, precision: str, *, seed: int = 0) -> Iterator[Row]:
    """Check all outputs and gradients of a backend in a precision of `ROUNDED`; yield a row per array.

    Raises `BackendError` if the backend does not support the precision; see `precision_missing`.
    """
    rng = np.random.default_rng(seed)
    for sizes in (LARGE, *PAIRED):
        for kind in (Stack, Network):
            yield from against_reference(backend, kind(rng, sizes), precision)


def precision_missing(backend: Backend, precision: str) -> str:
    """Return "" if a backend supports the precision on this machine, else the reason in one line."""
    W, b = backend.zeros((1, 4), "float32"), backend.zeros(4, "float32")
    try:
        backend.pack_lstm(W, W, b, tokens=False, precision=precision)
    except BackendError as error:
        return str(error)
    return ""


def relative_error(found: npt.ArrayLike, expected: npt.ArrayLike, floor: float = FLOOR) -> float:
    """Return the largest |found - expected| / max(|found|, |expected|, floor * max |expected|) over all entries.

    The floor, by default a thousandth of the largest expected entry, keeps rounding from dominating the error of
    near-zero entries. The result is NaN if any entry is NaN. It is infinite if the shapes differ, or if all expected
    entries are zero, because then a comparison proves nothing.
    """
    a, n = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    largest = np.abs(n).max(initial=0.0)
    if a.shape != n.shape or largest == 0.0:
        return float("inf")
    scale = np.maximum(np.maximum(np.abs(a), np.abs(n)), floor * largest)
    return float((np.abs(a - n) / scale).max())


def rounded_to(values: npt.ArrayLike, bits: int) -> Values:
    """Round numbers to `bits` significant bits, ties to even."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissa * 2**bits) / 2**bits, exponent))


def finite_differences(value: Callable[[Named], float], inputs: Named, name: str, step: float = _STEP) -> Values:
    """Return the gradient of `value(inputs)` with respect to `inputs[name]`, from six evaluations per entry."""
    moved = {**inputs, name: inputs[name].copy()}
    entries = moved[name].reshape(-1)
    gradient = np.zeros(entries.size)
    for n, at in enumerate(inputs[name].reshape(-1)):
        for steps, weight in _STENCIL:
            for sign in (1, -1):
                entries[n] = at + sign * steps * step
                gradient[n] += sign * weight / step * value(moved)
        entries[n] = at
    return gradient.reshape(inputs[name].shape)


def against_finite_differences(backend: Backend, subject: GradientCase) -> Iterator[Row]:
    """Compare the backward pass with finite differences in float64; yield a row for each input of a subject."""
    _, found = subject.gradients(backend, subject.inputs)
    for name in subject.inputs:
        step = _STEP * (_SHORTER if subject.curved else 1)
        expected = finite_differences(lambda moved: subject.value(backend, moved), subject.inputs, name, step)
        error = relative_error(found[name], expected)
        yield Row(f"{subject.title}: d {name}", expected.shape, error, ALLOWED)


def against_reference(backend: Backend, subject: GradientCase, precision: str) -> Iterator[Row]:
    """Compare a backend in `precision` with `reference` in float64; yield a row for the output and each gradient.

    `precision` is a key of `AGREEMENTS`. Both backends get the same inputs, rounded to that precision.
    """
    agreement = AGREEMENTS[precision]
    bits = ROUNDED.get(precision)
    inputs = {name: rounded_to(values, bits) if bits else values for name, values in subject.inputs.items()}
    rounded = {name: values.astype(agreement.dtype) for name, values in inputs.items()}
    exact = {name: values.astype(np.float64) for name, values in rounded.items()}
    output, found = subject.gradients(backend, rounded, precision if bits else "")
    expected_output, expected = subject.gradients(registry.load("reference"), exact)
    pairs = {"output": (output, expected_output)}
    pairs |= {f"d {name}": (found[name], expected[name]) for name in subject.inputs}
    for name, (a, n) in pairs.items():
        error = relative_error(a, n, agreement.floor)
        yield Row(f"{subject.title}, {precision}: {name}", n.shape, error, agreement.allowed)


def _small_subjects(seed: int) -> Iterator[GradientCase]:
    for sizes in (*SMALL, *VARIANTS):
        rng = np.random.default_rng([seed, len(sizes.layers)])
        if not sizes.embedding or sizes.layer_norm:  # a stack has no embedding
            yield Stack(rng, sizes)
        yield Network(rng, sizes)
    rng = np.random.default_rng(seed)
    yield Dense(rng, SMALL[0])
    yield Loss(rng, SMALL[0])


def _subjects(sizes: Sizes, seed: int) -> Iterator[GradientCase]:
    rng = np.random.default_rng(seed)
    for kind in (Stack, Network, Dense, Loss):
        yield kind(rng, sizes)

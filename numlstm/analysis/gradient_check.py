"""Proof of a backend's gradients on the machine at hand: by finite differences, and against `reference`.

Every entry of every array of a subject (see `subjects.py`) is moved, and the loss of the backend's own forward pass, in
float64, must change as its backward pass says. A backend other than `reference` must also agree with that one in
float64, in float32 and in whatever of bf16, tf32 and fp16 it can multiply, outputs included. Knows nothing about how a
backend computes, and prints nothing.
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
from .gradient_subjects import Dense, Loss, Named, Network, Sizes, Stack, Subject, Values

ALLOWED = 1e-7  # finite differences in float64
FLOOR = 1e-3


class Agreement(NamedTuple):
    """What agreement with `reference` means: the relative error `allowed` (see `relative_error`) and its `floor`."""

    dtype: str
    allowed: float
    floor: float


# bf16: a factor that is rounded to 8 significant bits is off by up to 2^-9 of itself. What is given holds no more, so
# those that are rounded are h and the gradients of the gates, which go through several products on their way: the next
# step's, the next layer's, and the weights' own. 2^-6 is eight such errors that add up, of an array's largest entry:
# smaller ones may be what is left of larger terms. Measured: 0.54 %; with other seeds 0.7 % in the middle of 30, and
# 2.2 % once, where a layer of one unit had nothing but small entries.
# tf32 and fp16 have 11 bits. What is given is rounded here; a GPU may cut off what does not fit of its own h and
# gradients, which is off by up to 2^-10 of the number: four times that. No GPU has been measured.
AGREEMENTS = {
    "float64": Agreement("float64", 1e-10, FLOOR),
    "float32": Agreement("float32", 1e-4, 0.03),
    "bf16": Agreement("float32", 2**-6, 1.0),
    "tf32": Agreement("float32", 2**-8, 1.0),
    "fp16": Agreement("float32", 2**-8, 1.0),
}
ROUNDED = {"bf16": 8, "tf32": 11, "fp16": 11}  # significant bits of what is multiplied, by precision

# Central differences of the sixth order: the error h^6 / 140 times the seventh derivative is small enough to let the
# step h be long, and the loss's rounding is divided by it. Measured: half or twice this step is worse.
_STEP = 0.01
# Layer norm divides by the spread of a few units, which bends more.
_SHORTER = 0.2
_STENCIL = ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60))


@dataclasses.dataclass(frozen=True)
class Row:
    """What one array's check found: its `shape`, the relative `error` of its worst entry and what is `allowed`."""

    what: str
    shape: tuple[int, ...]
    error: float
    allowed: float

    @property
    def ok(self) -> bool:
        """Whether the error is allowed; one that is not a number is not."""
        return self.error <= self.allowed

    @property
    def kind(self) -> str:
        """What the array was judged by: finite differences, or the reference and how it was computed."""
        title = self.what.rpartition(":")[0]
        return next((f"to reference, {each}" for each in AGREEMENTS if title.endswith(each)), "finite differences")


# All of a subject's sizes differ, so that no two axes can be mistaken for one another.
SMALL = (Sizes(4, 2, 5, 7, (3,)), Sizes(4, 2, 5, 7, (3, 1)), Sizes(4, 2, 7, 6, (3, 1, 5)))
# Each option by itself and all together; no layer of one unit, which layer norm would make zero.
VARIANTS = (
    Sizes(3, 2, 4, 5, (3,), projection=6),
    Sizes(3, 2, 4, 5, (6,), layer_norm=True),
    Sizes(3, 2, 4, 5, (3,), hard=True),
    Sizes(4, 2, 5, 7, (4,), recurrent=0.4),
    Sizes(3, 2, 4, 5, (3,), embedding=6, rate=0.4),
    Sizes(3, 4, 3, 7, (6, 5), 2, 2, layer_norm=True, tie_weights=True, hard=True, rate=0.3, recurrent=0.2),
)
LARGE = Sizes(5, 7, 11, 70, (33, 18, 20))  # several registers wide, for the comparison with `reference`
# Where a number has no partner to share a pair with: one step of one row, one row, one input and unit, more rows than
# a gradient takes at a time. Arrays of a few entries, which a sum could leave all but zero by chance, are avoided.
PAIRED = (Sizes(1, 1, 7, 3, (9,)), Sizes(6, 1, 5, 9, (7, 8)), Sizes(8, 6, 1, 5, (1,)), Sizes(29, 7, 9, 11, (17, 8)))


def check(backend: Backend, *, seed: int = 0, threads: int | None = None) -> Iterator[Row]:
    """Check every gradient of a backend on arrays drawn from `seed`, yielding a row per array.

    Finite differences are thousands of tiny calls and run on one thread; then the backend uses `threads` (None:
    one per core) and keeps them. Raises `ConfigError` if that is more than it has.
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
    """Check every output and gradient that a backend computes in a precision of `ROUNDED`, yielding a row per array.

    Raises `BackendError` if the backend cannot do so: see `precision_missing`.
    """
    rng = np.random.default_rng(seed)
    for sizes in (LARGE, *PAIRED):
        for kind in (Stack, Network):
            yield from against_reference(backend, kind(rng, sizes), precision)


def precision_missing(backend: Backend, precision: str) -> str:
    """Return "" if a backend can multiply in that precision on this machine, else one line that says why not."""
    W, b = backend.zeros((1, 4), "float32"), backend.zeros(4, "float32")
    try:
        backend.pack_lstm(W, W, b, tokens=False, precision=precision)
    except BackendError as error:
        return str(error)
    return ""


def relative_error(found: npt.ArrayLike, expected: npt.ArrayLike, floor: float = FLOOR) -> float:
    """Return the largest |found - expected| / max(|found|, |expected|, floor * max |expected|) over all entries.

    The floor, by default a thousandth of the array's largest expected entry, keeps entries that are all but zero
    from being judged by their rounding. NaN if an entry is; infinite if the shapes differ, or if nothing but zero is
    expected, which would prove nothing.
    """
    a, n = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    largest = np.abs(n).max(initial=0.0)
    if a.shape != n.shape or largest == 0.0:
        return float("inf")
    scale = np.maximum(np.maximum(np.abs(a), np.abs(n)), floor * largest)
    return float((np.abs(a - n) / scale).max())


def rounded_to(values: npt.ArrayLike, bits: int) -> Values:
    """Return numbers rounded to the nearest of so many significant bits; ties go to the even one."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissa * 2**bits) / 2**bits, exponent))


def finite_differences(value: Callable[[Named], float], inputs: Named, name: str, step: float = _STEP) -> Values:
    """Return the gradient of `value(inputs)` with respect to `inputs[name]`, by six evaluations an entry."""
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


def against_finite_differences(backend: Backend, subject: Subject) -> Iterator[Row]:
    """Yield a row for each input of a subject: the backward pass against finite differences in float64."""
    _, found = subject.gradients(backend, subject.inputs)
    for name in subject.inputs:
        step = _STEP * (_SHORTER if subject.curved else 1)
        expected = finite_differences(lambda moved: subject.value(backend, moved), subject.inputs, name, step)
        error = relative_error(found[name], expected)
        yield Row(f"{subject.title}: d {name}", expected.shape, error, ALLOWED)


def against_reference(backend: Backend, subject: Subject, precision: str) -> Iterator[Row]:
    """Yield a row for a subject's output and each gradient: a backend in `precision` against `reference` in float64.

    The precision is one of `AGREEMENTS`. Both read the same numbers, those that it can hold.
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


def _small_subjects(seed: int) -> Iterator[Subject]:
    for sizes in (*SMALL, *VARIANTS):
        rng = np.random.default_rng([seed, len(sizes.layers)])
        if not sizes.embedding or sizes.layer_norm:  # a stack has no embedding
            yield Stack(rng, sizes)
        yield Network(rng, sizes)
    rng = np.random.default_rng(seed)
    yield Dense(rng, SMALL[0])
    yield Loss(rng, SMALL[0])


def _subjects(sizes: Sizes, seed: int) -> Iterator[Subject]:
    rng = np.random.default_rng(seed)
    for kind in (Stack, Network, Dense, Loss):
        yield kind(rng, sizes)

"""The emulated device behind CuPy: its arrays, streams, memory and products, and that it reveals each mistake."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from tests import emulation

if emulation.missing():
    pytest.skip(emulation.missing(), allow_module_level=True)

import cupy as cp

from tests.emulation import EmulationError, arrays, cublas, emulated

TEXT = """
#define KERNEL extern "C" __global__ void
KERNEL twice(const REAL* x, REAL* y, int n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[i] = 2 * x[i];
}
"""
F32 = np.dtype(np.float32)


def twice(x, y, n=None):
    run = cp.RawModule(code=TEXT, options=("-std=c++17", "-DREAL=float")).get_function("twice")
    run((2,), (32,), (x, y, np.int32(x.size) if n is None else n))


def on_device(values, dtype=np.float32, order="C"):
    values = np.array(values, dtype)
    made = cp.empty(values.shape, dtype, order=order)
    made.set(np.array(values, order=order))
    return made


def counts(device):
    made = device.counts
    return made.synchronisations, made.launches, made.products, made.uploads


def test_a_kernel_runs_when_somebody_waits(device):
    x, y = on_device(np.arange(100)), cp.empty(100, np.float32)
    twice(x, y)
    assert np.isnan(arrays.host(y)).all()
    np.testing.assert_array_equal(y.get(), 2 * np.arange(100))
    assert counts(device) == (1, 1, 0, 1)
    assert {(each.kernel, each.block) for each in device.launches} == {("twice", (32,))}


def test_a_wrong_argument_is_refused_when_it_is_launched(device):
    x = on_device([1, 2])
    with pytest.raises(TypeError, match="argument 2: a int for i4"):
        twice(x, x, 2)
    with pytest.raises(TypeError, match="argument 1: a ndarray, which is not on the device"):
        twice(x, np.zeros(2, np.float32))


def test_what_arrays_can_do(device):
    a = cp.zeros((3, 4), np.float32)
    a[...] = 1
    a[1:] += 2
    a[:, 0] = on_device([5, 6, 7])
    a[0, 1:3] = a[2, 1:3]
    a += a
    b, c = a.T.copy(), cp.empty((2, 6), np.float64)
    c.fill(4)
    c[0] = a[0, 0]
    expected = 2 * np.array([[5, 3, 3, 1], [6, 3, 3, 3], [7, 3, 3, 3]])
    np.testing.assert_array_equal(a.get(), expected)
    np.testing.assert_array_equal(b.get(), expected.T)
    np.testing.assert_array_equal(a.reshape(2, 6)[:, ::-2].get(), expected.reshape(2, 6)[:, ::-2])
    np.testing.assert_array_equal(c.get(), [[10] * 6, [4] * 6])
    assert a.get(order="F").flags.f_contiguous


def test_a_number_read_from_the_device_is_waited_for(device):
    a = on_device([1, 2])
    assert float(a[1]) == 2
    assert device.counts.synchronisations == 1


def test_numbers_assigned_are_read_at_once_and_arrays_in_their_turn(device):
    a, b = on_device([1, 2]), on_device([3, 4])
    number = np.array(7, np.float32)
    a[0] = number
    number[...] = 8
    a[1:] = b[1:]
    b.fill(9)
    np.testing.assert_array_equal(a.get(), [7, 4])


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        (lambda a: a.set([1, 2]), TypeError),
        (lambda a: a.set(np.zeros(2)), TypeError),
        (lambda a: a.set(np.zeros(3, np.float32)), ValueError),
        (lambda a: cp.zeros((2, 4), np.float32)[:, ::2].set(np.zeros((2, 2), np.float32)), RuntimeError),
        (lambda a: a.__setitem__(..., np.zeros(2, np.float32)), TypeError),
        (lambda a: a.__setitem__(..., cp.zeros(3, np.float32)), ValueError),
        (lambda a: a.__iadd__(cp.zeros(3, np.float32)), ValueError),
        (lambda a: cp.zeros(2, np.int32).__iadd__(a), TypeError),
        (lambda a: np.asarray(a), TypeError),
        (lambda a: a.get(out=np.zeros(3, np.float32)), ValueError),
    ],
)
def test_what_cupy_refuses_is_refused(device, mistake, error):
    with pytest.raises(error):
        mistake(cp.zeros(2, np.float32))


@pytest.mark.parametrize(
    "operation",
    [
        lambda a: a + a,
        lambda a: a.sum(),
        lambda a: a * 2,
        lambda a: a @ a,
        lambda a: cp.exp(a),
        lambda a: cp.asarray(np.zeros(2)),
        lambda a: cp.arange(3),
        lambda a: a.astype(np.float64),
        lambda a: a.__imul__(2),
        lambda a: a[cp.zeros(1, np.int32)],
        lambda a: a.__setitem__(cp.zeros(1, np.int32), 1),
        lambda a: bool(a[0] > 1),
        lambda a: cp.random.rand(3),
        lambda a: cp.cuda.runtime.deviceSynchronize(),
        lambda a: cp.RawKernel("", "x")((1,), (1,), ()),
        lambda a: a.data.memset(0, 4),
    ],
)
def test_what_is_not_emulated_raises_as_without_a_device(device, operation):
    a = cp.zeros(2, np.float32)
    with pytest.raises((cp.cuda.runtime.CUDARuntimeError, ImportError)):
        operation(a)


def test_new_memory_is_nan_and_so_is_what_was_freed_once_the_stream_is_there(device):
    a = cp.empty(4, np.float32)
    assert np.isnan(a.get()).all()
    b, c = cp.zeros(4, np.float32), cp.empty(4, np.float32)
    held = arrays.host(b)
    twice(b, c)
    del b
    gc.collect()
    np.testing.assert_array_equal(c.get(), 0)  # the kernel ran before the free, in stream order
    cp.cuda.get_current_stream().synchronize()
    assert np.isnan(held).all()


def test_memory_freed_while_another_stream_uses_it_shows(device):
    with cp.cuda.Stream(non_blocking=True) as other:
        b, c = cp.zeros(4, np.float32), cp.empty(4, np.float32)
        other.synchronize()
        twice(b, c)
    del b
    cp.cuda.get_current_stream().synchronize()
    other.synchronize()
    assert np.isnan(arrays.host(c)).all()


def test_who_writes_beyond_an_array_is_found():
    def mistake():
        with emulated():
            kept = cp.zeros(2, np.float32)
            twice(cp.zeros(4, np.float32), kept)

    with pytest.raises(EmulationError, match="beyond the end of an allocation of 8 bytes"):
        mistake()


def test_who_wrote_beyond_an_array_that_is_gone_is_found_too():
    with pytest.raises(EmulationError, match="beyond the end of an allocation of 8 bytes"), emulated():
        twice(cp.zeros(4, np.float32), cp.zeros(2, np.float32))


def test_memory_has_its_limit(device):
    device.memory.capacity = 1000
    a = cp.empty(100, np.float64)
    with pytest.raises(cp.cuda.memory.OutOfMemoryError, match="Out of memory allocating"):
        cp.empty(100, np.float64)
    del a
    assert device.memory.used == 0
    cp.empty(100, np.float64)


def test_pageable_memory_is_read_at_once_pinned_memory_when_the_copy_runs(device):
    source = np.arange(4, dtype=np.float32)
    pinned = cp.cuda.alloc_pinned_memory(16)
    staged = np.frombuffer(pinned, np.float32, 4)
    assert np.isnan(staged).all()
    staged[...] = source
    a, b = cp.empty(4, np.float32), cp.empty(4, np.float32)
    a.set(source)
    b.set(staged)
    source[...] = staged[...] = 9  # too early
    np.testing.assert_array_equal(a.get(), np.arange(4))
    np.testing.assert_array_equal(b.get(), [9] * 4)


def test_pinned_memory_that_waits_for_its_event_is_right(device):
    staged = np.frombuffer(cp.cuda.alloc_pinned_memory(16), np.float32, 4)
    staged[...] = 3
    a = cp.empty(4, np.float32)
    a.set(staged)
    event = cp.cuda.Event(disable_timing=True)
    event.record()
    event.synchronize()
    staged[...] = 9
    np.testing.assert_array_equal(a.get(), [3] * 4)
    assert device.counts.synchronisations == 2


def test_a_copy_that_nobody_waits_for_has_not_arrived(device):
    a, out = on_device([1, 2]), np.frombuffer(cp.cuda.alloc_pinned_memory(8), np.float32)
    assert a.get(out=out, blocking=False) is out
    assert np.isnan(out).all()
    assert device.counts.synchronisations == 0
    cp.cuda.get_current_stream().synchronize()
    np.testing.assert_array_equal(out, [1, 2])


def test_events_order_streams(device):
    a, b = cp.zeros(2, np.float32), cp.empty(2, np.float32)
    other = cp.cuda.Stream(non_blocking=True)
    a.fill(1)
    with other:
        b[...] = a  # without waiting for the other stream
    other.synchronize()
    assert np.isnan(arrays.host(b)).all()
    event = cp.cuda.get_current_stream().record()
    assert not event.done
    other.wait_event(event)
    with other:
        b[...] = a
    other.synchronize()
    assert event.done
    np.testing.assert_array_equal(arrays.host(b), [1, 1])
    assert other.done
    assert cp.cuda.get_elapsed_time(event, event) == 0


def product(
    a, b, c, alpha=1.0, beta=0.0, compute=68, *, lda=None, ldb=None, ldc=None, kind=0, algorithm=-1, handle=None, mode=0
):
    """Compute C = alpha A B + beta C for row-major arrays, which column-major is the transposed product B A."""
    (m, k), n = a.shape, b.shape[1]
    scalars = np.array([alpha, beta], c.dtype)
    at = scalars.ctypes.data
    blas = cp.cuda.cublas
    if mode is not None:
        blas.setPointerMode(cp.cuda.device.get_cublas_handle(), mode)
    blas.gemmEx(
        cp.cuda.device.get_cublas_handle() if handle is None else handle,
        blas.CUBLAS_OP_N,
        blas.CUBLAS_OP_N,
        n,
        m,
        k,
        at,
        b.data.ptr,
        kind,
        ldb or n,
        a.data.ptr,
        kind,
        lda or k,
        at + c.itemsize,
        c.data.ptr,
        kind,
        ldc or n,
        compute,
        algorithm,
    )
    scalars[...] = np.nan  # must have been read by now


@pytest.mark.parametrize(("alpha", "beta"), [(1, 0), (2, 1), (0.5, -1)])
@pytest.mark.parametrize(("dtype", "kind", "compute"), [(np.float32, 0, 68), (np.float64, 1, 70)])
def test_a_product(device, dtype, kind, compute, alpha, beta):
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(shape).astype(dtype) for shape in ((3, 4), (4, 5), (3, 5)))
    if beta == 0:
        c[...] = np.nan  # must not be read
    made = on_device(c, dtype)
    product(on_device(a, dtype), on_device(b, dtype), made, alpha, beta, compute, kind=kind)
    expected = alpha * (a @ b) + (beta * c if beta else 0)
    np.testing.assert_allclose(made.get(), expected, rtol=1e-5 if kind == 0 else 1e-14)
    assert device.counts.products == 1


def test_a_product_of_transposed_parts_of_arrays(device):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((6, 7)).astype(np.float32), rng.standard_normal((6, 9)).astype(np.float32)
    on_a, on_b, c = on_device(a), on_device(b), cp.zeros((4, 8), np.float32)
    one = np.array([1, 0], np.float32)
    cp.cuda.cublas.setPointerMode(cp.cuda.device.get_cublas_handle(), cp.cuda.cublas.CUBLAS_POINTER_MODE_HOST)
    # c[:, :5] = a[:, 2:6].T b[:, 1:6]; in column-major terms b is 5 by 6 and a is 4 by 6
    cp.cuda.cublas.gemmEx(
        cp.cuda.device.get_cublas_handle(),
        *(0, 1, 5, 4, 6, one.ctypes.data),
        *(on_b[:, 1:].data.ptr, 0, 9, on_a[:, 2:].data.ptr, 0, 7),
        *(one.ctypes.data + 4, c.data.ptr, 0, 8, 68, -1),
    )
    made = c.get()
    np.testing.assert_allclose(made[:, :5], a[:, 2:6].T @ b[:, 1:6], rtol=1e-5, atol=1e-6)
    assert not made[:, 5:].any()


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"lda": 3}, 7),
        ({"ldb": 4}, 7),
        ({"ldc": 4}, 7),
        ({"compute": 70}, 15),
        ({"compute": 64}, 15),
        ({"kind": 1}, 15),
        ({"kind": 2}, 15),
        ({"algorithm": 3}, 15),
        ({"handle": 1}, 1),
    ],
    ids=str,
)
def test_products_that_cublas_refuses(device, wrong, status):
    a, b, c = (cp.zeros(shape, np.float32) for shape in ((3, 4), (4, 5), (3, 5)))
    with pytest.raises(cublas.CUBLASError) as error:
        product(a, b, c, **wrong)
    assert error.value.status == status


@pytest.mark.parametrize("wrong", [{"lda": 5}, {"ldb": 6}, {"ldc": 6}], ids=str)
def test_a_leading_dimension_that_leaves_the_array_is_found(device, wrong):
    a, b, c = (cp.zeros(shape, np.float32) for shape in ((3, 4), (4, 5), (3, 5)))
    with pytest.raises(EmulationError, match="not within one array"):
        product(a, b, c, **wrong)


def test_a_leading_dimension_that_is_too_large_shows(device):
    a, b, c = cp.empty((6, 4), np.float32), cp.zeros((4, 5), np.float32), cp.empty((3, 5), np.float32)
    a.set(np.arange(24, dtype=np.float32).reshape(6, 4))
    b.fill(1)
    product(a[:3], b, c, lda=5)
    assert c.get()[1, 0] != 4 + 5 + 6 + 7


def test_scalars_on_the_device_are_not_emulated(device):
    blas, handle = cp.cuda.cublas, cp.cuda.device.get_cublas_handle()
    a = cp.zeros((2, 2), np.float32)
    assert blas.getPointerMode(handle) == blas.CUBLAS_POINTER_MODE_DEVICE, "as other code may leave it"
    with pytest.raises(cublas.CUBLASError):
        product(a, a, a, mode=None)
    blas.setPointerMode(handle, blas.CUBLAS_POINTER_MODE_HOST)
    assert blas.getPointerMode(handle) == blas.CUBLAS_POINTER_MODE_HOST
    product(a, a, a, mode=None)


@pytest.mark.parametrize(("compute", "bits"), [(68, 23), (77, 10), (75, 7), (74, 10)])
def test_factors_are_rounded_as_the_computation_asks(compute, bits):
    step = 2.0**-bits
    given = np.array([1, 1 + step, 1 + 0.5 * step, 1 + 1.5 * step, -1 - 0.75 * step], np.float32)
    if bits == 23:
        np.testing.assert_array_equal(cublas.rounded(given, compute), given)
    else:
        np.testing.assert_array_equal(
            cublas.rounded(given, compute), np.array([1, 1 + step, 1, 1 + 2 * step, -1 - step], np.float32)
        )
    kept = np.array([np.inf, -np.inf, np.nan, 0.0], np.float32)
    np.testing.assert_array_equal(cublas.rounded(kept, compute), kept)
    with np.errstate(over="ignore"):
        assert np.isinf(cublas.rounded(np.array([70000], np.float32), compute))[0] == (compute == 74)


def test_facts_of_the_card(device):
    device.card.sm, device.card.shared_per_block = 75, 64 * 1024
    facts = cp.cuda.Device().attributes
    assert facts["MaxSharedMemoryPerBlockOptin"] == 64 * 1024
    assert cp.cuda.Device().compute_capability == "75"
    used = device.memory.used
    kept = cp.empty(100, np.float32)
    assert cp.cuda.Device().mem_info == (device.card.memory - used - kept.nbytes, device.card.memory)
    assert cp.cuda.runtime.getDeviceProperties(0)["name"] == b"Emulated card"
    assert cp.cuda.runtime.getDeviceCount() == 1
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError):
        cp.cuda.Device(1)
    run = cp.RawModule(code=TEXT, options=("-DREAL=float",)).get_function("twice")
    with pytest.raises(EmulationError, match="a block has 65536"):
        run.max_dynamic_shared_size_bytes = 65537


def test_nothing_of_it_is_left():
    from numlstm.backends.gpu import modules

    names = [(cp, "RawModule"), (cp, "zeros"), (cp.cuda, "Stream"), (cp.cuda, "Device"), (cp.ndarray, "get")]
    before = [getattr(*each) for each in names]
    with emulated():
        assert all(getattr(*each) is not b for each, b in zip(names, before, strict=True))
        modules._module(modules.texts()[0], "float32") if modules.texts() else modules.kernel.cache_clear()
    assert [getattr(*each) for each in names] == before
    assert modules._module.cache_info().currsize == 0
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError):
        cp.empty(3)

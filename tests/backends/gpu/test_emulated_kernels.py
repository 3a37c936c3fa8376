"""The emulation of kernels: it computes what CUDA specifies and rejects code that breaks CUDA's rules."""

from __future__ import annotations

import numpy as np
import pytest

from tests import emulation
from tests.backends.gpu.parameters import slow
from tests.emulation import EmulationError, Kernel

pytestmark = pytest.mark.skipif(bool(emulation.missing()), reason=emulation.missing() or "can be emulated")
ORDERS = [0, 1, 7]
FLOAT = ("-DREAL=float",)

HEAD = '#define KERNEL extern "C" __global__ void\n'
TEXT = (
    HEAD
    + """
KERNEL places(int* x) {
  int n = blockIdx.z * gridDim.y * gridDim.x + blockIdx.y * gridDim.x + blockIdx.x;
  int t = threadIdx.z * blockDim.y * blockDim.x + threadIdx.y * blockDim.x + threadIdx.x;
  x[n * blockDim.x * blockDim.y * blockDim.z + t] += 1 + n * 1000 + t;
}

KERNEL total(const REAL* x, REAL* sums, int n) {
  DYN_SHARED(REAL, part);
  int t = threadIdx.x;
  REAL sum = 0;
  for (int i = t; i < n; i += blockDim.x) sum += x[i];
  part[t] = sum;
  __syncthreads();
  for (int half = blockDim.x / 2; half; half /= 2) {
    if (t < half) part[t] += part[t + half];
    __syncthreads();
  }
  if (!t) sums[blockIdx.x] = part[0];
}

KERNEL warps(const REAL* x, REAL* y, unsigned* votes, int width) {
  int t = threadIdx.x, count = blockDim.x;
  unsigned all = 0xffffffffu;
  y[t] = __shfl_sync(all, x[t], 3, width);
  y[count + t] = __shfl_xor_sync(all, x[t], 1, width);
  y[2 * count + t] = __shfl_down_sync(all, x[t], 2, width);
  y[3 * count + t] = __shfl_up_sync(all, x[t], 2, width);
  votes[t] = __ballot_sync(all, x[t] > 5);
  votes[count + t] = __any_sync(all, x[t] > 40);
  votes[2 * count + t] = __all_sync(all, x[t] >= 32);
  if (t % 2) {  // half a warp may meet by itself
    votes[3 * count + t] = __ballot_sync(0xaaaaaaaau, t > 16);
  } else {
    votes[3 * count + t] = 0;
  }
}

KERNEL rest_of_a_warp(int* y) {
  if (threadIdx.x >= 20) return;
  int value = threadIdx.x;
  y[threadIdx.x] = __shfl_down_sync(0xffffffffu, value, 4);
}

KERNEL counted(int* n, unsigned long long* m) {
  atomicAdd(n, 1);
  atomicMax(n + 1, (int)threadIdx.x);
  atomicMin(n + 2, -(int)threadIdx.x);
  atomicCAS(n + 3, 0, (int)threadIdx.x + 1);
  atomicAdd(m, 1ull);
}

struct alignas(16) Four { REAL a, b, c, d; };
template <class T> __device__ T sum(T a, T b) { return a + b; }
KERNEL fours(const Four* x, REAL* y, const void* any) {
  y[threadIdx.x] = sum(x[threadIdx.x].a, x[threadIdx.x].d);
}

KERNEL kinds(const REAL* a, const int* b, const unsigned char* c, REAL d, int e, long long f, double g, bool h) {}
KERNEL __launch_bounds__(64, 2) small_blocks(int* x) { x[threadIdx.x] = 1; }

KERNEL no_barrier(const REAL* x, REAL* y) {
  DYN_SHARED(REAL, part);
  part[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = part[blockDim.x - 1 - threadIdx.x];
}
KERNEL poisoned(REAL* y) {
  DYN_SHARED(REAL, part);
  y[threadIdx.x] = part[threadIdx.x];
}
KERNEL beyond(int at) {
  DYN_SHARED(REAL, part);
  part[at] = 1;
}
KERNEL left_early() {
  if (threadIdx.x == 5) return;
  __syncthreads();
}
KERNEL two_barriers() {
  if (threadIdx.x < 5) __syncthreads();
  else
    __syncthreads();
}
KERNEL two_shuffles(int* y) {
  if (threadIdx.x < 5) y[0] = __shfl_sync(0xffffffffu, 1, 0);
  else
    y[1] = __shfl_sync(0xffffffffu, 1, 0);
}
KERNEL not_in_the_mask(int* y) {
  y[threadIdx.x] = __shfl_sync(0xffu, 1, 0);
}
KERNEL one_lane_away(int* y) {
  if (threadIdx.x == 3) __syncthreads();
  else
    y[0] = __shfl_sync(0xffffffffu, 1, 0);
}
KERNEL unset(REAL* y, int n) {
  REAL sum;
  for (int i = 0; i < n; i++) sum = i;
  y[0] = sum;
}
"""
)


def kernel(name, options=FLOAT, flags=()):
    return Kernel(TEXT, name, options, flags)


@pytest.mark.parametrize("order", ORDERS)
def test_every_thread_runs_once_where_it_is(order):
    made = np.zeros(2 * 3 * 4 * 30, np.int32)
    run = kernel("places")
    run.order = order
    run((2, 3, 4), (5, 3, 2), (made,))
    np.testing.assert_array_equal(made, (np.arange(24)[:, None] * 1000 + np.arange(30) + 1).ravel())


@pytest.mark.parametrize("flags", [(), slow(("-DEMULATION_UCONTEXT",)), slow(("-DEMULATION_THREADS",))], ids=str)
@pytest.mark.parametrize("options", [FLOAT, ("-DREAL=double",)], ids=str)
def test_a_sum_over_a_block(options, flags):
    x = np.arange(1000, dtype=np.float32 if options == FLOAT else np.float64)
    for order in ORDERS:
        run, sums = kernel("total", options, flags), np.zeros(3, x.dtype)
        run.order = order
        run((3,), (128,), (x, sums, np.int32(x.size)), shared_mem=128 * x.itemsize)
        np.testing.assert_array_equal(sums, x.sum())


@pytest.mark.parametrize("flags", [(), slow(("-DEMULATION_THREADS",))], ids=str)
@pytest.mark.parametrize("width", [32, 8])
def test_lanes_of_a_warp(width, flags):
    x, count = np.arange(64, dtype=np.float32), 64
    y, votes = np.zeros((4, count), np.float32), np.zeros((4, count), np.uint32)
    kernel("warps", flags=flags)((1,), (count,), (x, y, votes, np.int32(width)))
    lane = np.arange(count) % width
    np.testing.assert_array_equal(y[0], x - lane + 3)
    np.testing.assert_array_equal(y[1], np.arange(count) ^ 1)
    np.testing.assert_array_equal(y[2], np.where(lane + 2 < width, x + 2, x))
    np.testing.assert_array_equal(y[3], np.where(lane >= 2, x - 2, x))
    np.testing.assert_array_equal(votes[0], np.repeat([0xFFFFFFC0, 0xFFFFFFFF], 32))
    np.testing.assert_array_equal(votes[1], np.repeat([0, 1], 32))
    np.testing.assert_array_equal(votes[2], np.repeat([0, 1], 32))
    np.testing.assert_array_equal(votes[3, 1::2], np.repeat([0xAAAA0000 & ~0x20000 | 0x20000, 0xAAAAAAAA], 16))


@pytest.mark.parametrize("flags", [(), slow(("-DEMULATION_THREADS",))], ids=str)
def test_lanes_that_ended_are_not_waited_for_and_have_no_value(flags):
    y = np.zeros(32, np.int32)
    kernel("rest_of_a_warp", flags=flags)((1,), (32,), (y,))
    np.testing.assert_array_equal(y, [*range(4, 20), *[-1] * 4, *[0] * 12])


@pytest.mark.parametrize("flags", [(), slow(("-DEMULATION_THREADS",))], ids=str)
def test_atomics_on_whole_numbers(flags):
    n, m = np.zeros(4, np.int32), np.zeros(1, np.uint64)
    kernel("counted", flags=flags)((5,), (100,), (n, m))
    assert n[:3].tolist() == [500, 99, -99]
    assert 1 <= n[3] <= 100
    assert m[0] == 500


def test_atomics_on_floats_are_refused():
    with pytest.raises(EmulationError, match="no atomics on floats"):
        Kernel(f"{HEAD}KERNEL add(float* x) {{ atomicAdd(x, 1.0f); }}", "add")


STATIC = (
    HEAD
    + """
KERNEL turned(const REAL* x, REAL* y) {
  __shared__ REAL part[32];
  y[32 + threadIdx.x] = part[threadIdx.x];
  BARRIER;
  part[threadIdx.x] = x[threadIdx.x];
  BARRIER;
  y[threadIdx.x] = part[31 - threadIdx.x];
}
"""
)


@pytest.mark.parametrize("flags", [(), slow(("-DEMULATION_THREADS",))], ids=str)
def test_static_shared_memory(flags):
    x, y = np.arange(32, dtype=np.float32), np.zeros(64, np.float32)
    Kernel(STATIC, "turned", (*FLOAT, "-DBARRIER=__syncthreads()"), flags)((3,), (32,), (x, y))
    np.testing.assert_array_equal(y[:32], x[::-1])
    assert np.isnan(y[32:]).all()
    if not flags:
        Kernel(STATIC, "turned", (*FLOAT, "-DBARRIER="), flags)((3,), (32,), (x, y))
        assert np.isnan(y[:32]).any()


def test_a_kernel_that_is_not_there():
    with pytest.raises(EmulationError, match="no kernel absent; the text has places, total"):
        kernel("absent")


def test_structs_templates_and_any_pointer():
    x, y = np.arange(32, dtype=np.float32), np.zeros(8, np.float32)
    kernel("fours")((1,), (8,), (x, y, x))
    np.testing.assert_array_equal(y, x[::4] + x[3::4])


KINDS = [
    np.zeros(1, np.float32),
    np.zeros(1, np.int32),
    np.zeros(1, np.uint8),
    np.float32(1),
    np.int32(1),
    np.int64(1),
    np.float64(1),
    np.bool_(1),
]


def test_arguments_of_the_right_types():
    kernel("kinds")((1,), (1,), KINDS)


@pytest.mark.parametrize(
    ("n", "wrong"),
    [
        (0, np.zeros(1, np.float64)),
        (0, np.float32(1)),
        (0, 0),
        (0, None),
        (1, np.zeros(1, np.uint32)),
        (1, np.zeros(1, np.int64)),
        (2, np.zeros(1, np.int8)),
        (3, np.float64(1)),
        (3, 1.0),
        (3, np.zeros(1, np.float32)),
        (4, 1),
        (4, np.int64(1)),
        (4, np.uint32(1)),
        (4, np.float32(1)),
        (5, np.int32(1)),
        (6, np.float32(1)),
        (7, True),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', value)}",
)
def test_arguments_of_other_types_are_refused(n, wrong):
    with pytest.raises(TypeError, match=f"kinds, argument {n}: "):
        kernel("kinds")((1,), (1,), [*KINDS[:n], wrong, *KINDS[n + 1 :]])


@pytest.mark.parametrize("count", [7, 9])
def test_another_number_of_arguments_is_refused(count):
    with pytest.raises(TypeError, match="takes 8 arguments"):
        kernel("kinds")((1,), (1,), (KINDS * 2)[:count])


@pytest.mark.parametrize(
    ("grid", "block"),
    [
        ((0,), (32,)),
        ((1,), (0,)),
        ((1,), (1025,)),
        ((1,), (1, 1, 65)),
        ((1,), (32, 33)),
        ((2**31,), (1,)),
        ((1, 65536), (1,)),
        ((1, 1, 65536), (1,)),
        ((), (1,)),
        ((1, 1, 1, 1), (1,)),
    ],
)
def test_launches_that_a_device_refuses(grid, block):
    with pytest.raises(EmulationError, match=r"places: .*(grid|block)"):
        kernel("places")(grid, block, (np.zeros(2000, np.int32),))


def test_launch_bounds_are_kept():
    x = np.zeros(65, np.int32)
    kernel("small_blocks")((1,), (64,), (x,))
    assert x.sum() == 64
    with pytest.raises(EmulationError, match="65 threads in a block; it can have 64"):
        kernel("small_blocks")((1,), (65,), (x,))


def test_shared_memory_has_its_limits():
    run, y = kernel("poisoned"), np.zeros(4, np.float32)
    run((1,), (4,), (y,), shared_mem=48 * 1024)
    with pytest.raises(EmulationError, match="max_dynamic_shared_size_bytes is 49152"):
        run((1,), (4,), (y,), shared_mem=48 * 1024 + 1)
    run.max_dynamic_shared_size_bytes = 100_000
    run((1,), (4,), (y,), shared_mem=100_000)
    with pytest.raises(EmulationError, match="a block has 232448"):
        run.max_dynamic_shared_size_bytes = 232449


def test_shared_memory_begins_as_nan_in_each_block():
    y = np.zeros(4, np.float32)
    kernel("poisoned")((2,), (4,), (y,), shared_mem=16)
    assert np.isnan(y).all()


def test_who_writes_beyond_shared_memory_is_found():
    kernel("beyond")((1,), (1,), (np.int32(3),), shared_mem=16)
    with pytest.raises(EmulationError, match="beyond the 16 bytes asked for"):
        kernel("beyond")((1,), (1,), (np.int32(4),), shared_mem=16)


@pytest.mark.parametrize("order", ORDERS)
def test_a_missing_barrier_shows_in_every_order(order):
    x, y = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    run = kernel("no_barrier")
    run.order = order
    run((1,), (64,), (x, y), shared_mem=256)
    assert np.isnan(y).any()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("left_early", r"deadlock: 31 of 32 threads wait at a barrier of the block, 0 .* 1 have ended \(line \d+\)"),
        ("two_barriers", r"threads of a block wait at different barriers \(line \d+\) \(line \d+\)"),
        ("two_shuffles", "lanes of a warp wait for one another at different instructions"),
        ("not_in_the_mask", "a lane is not in the mask that it gives"),
        ("one_lane_away", "deadlock: 1 of 32 threads wait at a barrier of the block, 31 at an instruction of the warp"),
    ],
)
@pytest.mark.parametrize("order", ORDERS)
def test_threads_that_diverge_are_named(name, problem, order):
    run = kernel(name)
    run.order = order
    arguments = (np.zeros(32, np.int32),) * len(run.signature)
    for _ in range(2):  # a failed launch leaves nothing behind
        with pytest.raises(EmulationError, match=problem):
            run((1,), (32,), arguments)
    test_a_sum_over_a_block(FLOAT, ())


def test_a_variable_without_a_value_is_nonsense():
    y = np.zeros(1, np.float32)
    kernel("unset")((1,), (1,), (y, np.int32(0)))
    assert not np.isfinite(y[0]) or abs(y[0]) > 1e30


def test_text_that_is_not_cpp_is_refused_with_the_compilers_words():
    with pytest.raises(EmulationError, match=r"refuses the kernels(.|\n)*kernels.cu:2(.|\n)*absent"):
        Kernel(f"{HEAD}KERNEL wrong() {{ absent = 1; }}", "wrong")

"""A layer's sequence kernels against `reference`: both paths, all row counts per block, all thread orders.

The result must not change by a bit with what a block keeps in shared memory, how many rows it owns, or the other rows.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numlstm.backends import reference
from numlstm.backends.gpu import columns, path_choice, products, recurrence, transfer
from numlstm.backends.spec.dropout import Mask
from numlstm.backends.spec.variant import PLAIN, Variant
from numlstm.errors import BackendError
from tests.backends.gpu.parameters import DTYPES, ORDERS, slow

ERROR = {"float64": 1e-12, "float32": 2e-5}  # relative to the largest entry of an array
MASK = Mask(0.4, seed=3, step=1, place=1)
GPU = SimpleNamespace(
    asarray=transfer.asarray,
    to_numpy=transfer.to_numpy,
    zeros=transfer.zeros,
    pack_lstm=recurrence.pack_lstm,
    lstm_forward=recurrence.lstm_forward,
    lstm_backward=recurrence.lstm_backward,
)
NAMES = ("W_x", "W_h", "b", "W_p", "gain", "c_gain", "c_bias")


def inputs(shape, dtype, *, tokens=False, R=None, normed=False, seed=0):
    """Return random arrays for a layer and its sequence; R is the projection's size."""
    (T, B, D, H), rng = shape, np.random.default_rng([seed, *shape])
    size = R or H
    sizes = {"W_x": (D, 4 * H), "W_h": (size, 4 * H), "b": (4 * H,), "h0": (B, size), "c0": (B, H), "dh": (T, B, size)}
    sizes |= {"W_p": (H, R)} if R else {}
    sizes |= {"gain": (4 * H,), "c_gain": (H,), "c_bias": (H,)} if normed else {}
    arrays = {name: rng.uniform(-1, 1, size).astype(dtype) for name, size in sizes.items()}
    x = rng.integers(0, D, (T, B)).astype(np.int32) if tokens else rng.standard_normal((T, B, D)).astype(dtype)
    return {**arrays, "x": x}


def variant_of(on, hard):
    return Variant(*(on.get(name) for name in NAMES[3:]), hard)


def run(backend, given, *, mask=None, hard=False, start=0.5):
    """Return a layer's results by name; weight gradients are added to `start`."""
    on = {name: backend.asarray(values) for name, values in given.items()}
    dtype, tokens = given["b"].dtype, given["x"].ndim == 2
    packed = backend.pack_lstm(on["W_x"], on["W_h"], on["b"], tokens=tokens, variant=variant_of(on, hard))
    h, last, tape = backend.lstm_forward(on["x"], packed, on["h0"], on["c0"], mask=mask)
    found = {"h": backend.to_numpy(h), "h_last": backend.to_numpy(last[0]), "c_last": backend.to_numpy(last[1])}
    weights = {n: backend.asarray(np.full(given[n].shape, start, dtype)) for n in NAMES if n in given}
    changes = variant_of(weights, hard)
    dx, dh0, dc0 = backend.lstm_backward(on["dh"], packed, tape, *(weights[n] for n in NAMES[:3]), changes)
    made = {**{f"d{name}": d for name, d in weights.items()}, "dh0": dh0, "dc0": dc0}
    if not tokens:
        made["dx"] = dx
    return found | {name: backend.to_numpy(array) for name, array in made.items()}


def expected(given, **options):
    wide = {name: a if a.dtype.kind == "i" else a.astype(np.float64) for name, a in given.items()}
    return run(reference, wide, **options)


def assert_close(found, wanted, dtype):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name].dtype == dtype, name
        assert np.abs(found[name] - values).max() <= ERROR[dtype] * np.abs(values).max(), name


def assert_same(found, wanted, names=None):
    for name in names or wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


@pytest.fixture
def path(monkeypatch):
    """Return a function that selects the path, and the row counts per block to choose from."""

    def choose(name, rows=path_choice.ROWS):
        monkeypatch.setenv(path_choice.VARIABLE, name)
        monkeypatch.setattr(path_choice, "ROWS", rows)

    return choose


# (T, B, D, H): all 1; rows that no block divides; slices; as many units as threads; more, with a partial round.
SHAPES = [(1, 1, 1, 1), (3, 5, 4, 9), (4, 3, 2, 33), slow((2, 3, 2, 64)), (2, 2, 3, 270)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rows", path_choice.ROWS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_launch(device, path, shape, dtype, rows, order):
    path("resident", (rows,))
    device.order = order
    for tokens in (True, False):
        given = inputs(shape, dtype, tokens=tokens)
        assert_close(run(GPU, given), expected(given), dtype)
        assert {f"forward_{rows}", f"backward_{rows}"} <= {launch.kernel for launch in device.launches}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("name", path_choice.PATHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_masks_and_hard_gates(device, path, dtype, name, hard, order):
    path(name)
    device.order = order
    given = inputs((4, 5, 3, 19), dtype)
    options = {"mask": MASK, "hard": hard}
    assert_close(run(GPU, given, **options), expected(given, **options), dtype)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("varied", [{}, {"R": 6}, {"normed": True}, {"R": 40, "normed": True}], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_step_by_step(device, path, dtype, varied, masked, order):
    path("steps")
    device.order = order
    for shape in ((2, 1, 1, 3), (3, 5, 4, 33)):
        given = inputs(shape, dtype, tokens=masked, **varied)
        mask = MASK if masked else None
        assert_close(run(GPU, given, mask=mask), expected(given, mask=mask), dtype)
    assert not any(launch.kernel.startswith("forward_") for launch in device.launches)


@pytest.mark.parametrize("varied", [{"R": 6}, {"normed": True}], ids=str)
def test_varied_layers_go_step_by_step_whatever_is_asked(device, path, varied):
    path("resident")
    given = inputs((2, 3, 4, 9), "float64", **varied)
    assert_close(run(GPU, given), expected(given), "float64")
    path("other")
    with pytest.raises(BackendError, match="NUMLSTM_GPU_PATH is 'other'; expected resident or steps"):
        run(GPU, given)


@pytest.mark.parametrize("H", [33, slow(300)])
def test_what_is_kept_in_shared_memory_changes_no_bit(device, path, H, monkeypatch):
    path("resident", (2,))
    given = inputs((3, 3, 4, H), "float64")
    plan = path_choice.resident_plan(H, 2, 8, path_choice.Device(1, 2**40))
    row = plan.shape.slices * H * 32  # bytes of shared memory to keep one more row per slice
    bare = max(part.shared - part.kept * row for part in (plan.forward, plan.backward))
    found, kept = [], []
    for spare in (0, row, 150 * 1024):
        card = path_choice.Device(1, bare + spare)
        monkeypatch.setattr(path_choice, "device", lambda card=card: card)
        kept.append(path_choice.choose(H, 3, 8, card)[2:])
        found.append(run(GPU, given))
    for few, more, most, all_of_it in zip(*kept, plan[2:], strict=True):
        assert few.kept < more.kept < most.kept <= all_of_it.kept == -(-H // plan.shape.slices)
    assert 0 in {part.kept for part in kept[0]}
    for other in found[1:]:
        assert_same(other, found[0])
    assert_close(found[0], expected(given), "float64")


def some_rows(given, rows):
    return {n: a[:, rows] if n in ("x", "dh") else a[rows] if n in ("h0", "c0") else a for n, a in given.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("H", [9, 70])
def test_a_row_does_not_depend_on_the_others(device, path, H, dtype):
    """It does not depend on how many rows its block owns either."""
    given = inputs((4, 6, 5, H), dtype, tokens=True)
    path("resident", (1,))
    whole = run(GPU, given, mask=None)
    for rows in path_choice.ROWS:
        path("resident", (rows,))
        assert_same(run(GPU, given), whole, ("h", "c_last", "dh0", "dc0", "dW_h", "dW_x", "db"))
        chosen = np.array([4, 1, 5])
        part = run(GPU, some_rows(given, chosen))
        np.testing.assert_array_equal(part["h"], whole["h"][:, chosen])
        for name in ("c_last", "dh0", "dc0"):
            np.testing.assert_array_equal(part[name], whole[name][chosen], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", path_choice.PATHS)
def test_the_same_bits_each_time(device, path, name):
    path(name)
    given = inputs((5, 4, 3, 40), "float32", tokens=True)
    first = run(GPU, given)
    device.order = 1
    assert_same(run(GPU, given), first)


def test_weights_that_changed_are_packed_anew(device, path):
    path("resident")
    old, new = (inputs((2, 3, 4, 9), "float64", seed=seed) for seed in (0, 1))
    on = {name: GPU.asarray(values) for name, values in old.items()}
    fresh = run(GPU, {**old, **{n: new[n] for n in NAMES[:3]}})
    packed = GPU.pack_lstm(on["W_x"], on["W_h"], on["b"], tokens=False)
    before, _, _ = GPU.lstm_forward(on["x"], packed, on["h0"], on["c0"])
    assert np.abs(GPU.to_numpy(before) - fresh["h"]).max() > 1e-3
    for name in NAMES[:3]:
        on[name].set(new[name])
    packed.mark_stale()
    memory = packed.panels()[0].data.ptr
    after, _, _ = GPU.lstm_forward(on["x"], packed, on["h0"], on["c0"])
    np.testing.assert_array_equal(GPU.to_numpy(after), fresh["h"])
    other = [GPU.asarray(old[name]) for name in NAMES[:3]]
    again = GPU.pack_lstm(*other, tokens=False, packed=packed)
    assert again.panels()[0].data.ptr == memory
    back, _, _ = GPU.lstm_forward(on["x"], again, on["h0"], on["c0"])
    np.testing.assert_array_equal(GPU.to_numpy(back), GPU.to_numpy(before))


def test_a_layer_tells_its_sizes(device):
    on = {name: GPU.asarray(values) for name, values in inputs((1, 1, 7, 5), "float32", R=3).items()}
    packed = GPU.pack_lstm(on["W_x"], on["W_h"], on["b"], tokens=True, variant=variant_of(on, False))
    assert (packed.input_size, packed.hidden_size, packed.state_size) == (7, 5, 3)


def test_ids_of_another_type_are_refused(device):
    given = inputs((1, 2, 3, 4), "float32", tokens=True)
    with pytest.raises(BackendError, match="token ids are int64; expected int32"):
        run(GPU, {**given, "x": given["x"].astype(np.int64)})


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "N"), [(1, 1), (15, 33), (257, 3), slow(70 * columns.CHUNK_ROWS + 5, 2)])
def test_column_sums(device, rows, N, dtype, order):
    device.order = order
    rng = np.random.default_rng(rows)
    values, factors = rng.uniform(-1, 1, (2, rows, N)).astype(dtype)
    on, times = GPU.asarray(values), GPU.asarray(factors)
    for other, wanted in (
        (None, values.sum(axis=0, dtype="float64")),
        (times, (values * factors.astype("float64")).sum(0)),
    ):
        out = GPU.asarray(np.ones(N + 1, dtype))[1:]  # a view that is not aligned to 16 bytes
        columns.add_column_sums(on, out, other)
        np.testing.assert_allclose(GPU.to_numpy(out), 1 + wanted, rtol=0, atol=ERROR[dtype] * rows**0.5 * 4)


LAYOUTS = {
    "rows": lambda a: GPU.asarray(a),
    "columns": lambda a: GPU.asarray(np.ascontiguousarray(a.T)).T,
    "part of rows": lambda a: GPU.asarray(np.pad(a, ((1, 2), (3, 1))))[1:-2, 3:-1],
    "part of columns": lambda a: GPU.asarray(np.pad(a.T, ((2, 1), (1, 4))))[2:-1, 1:-4].T,
}


@pytest.mark.parametrize("add", [False, True], ids=["written", "added"])
@pytest.mark.parametrize("out_layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_products(device, dtype, out_layout, add):
    for n, (M, K, N) in enumerate([(2, 3, 4), (1, 5, 3), (4, 1, 2), (3, 4, 1), (1, 1, 1), (1, 3, 1)]):
        rng = np.random.default_rng(n)
        a, b, start = (rng.standard_normal(shape).astype(dtype) for shape in ((M, K), (K, N), (M, N)))
        for left in LAYOUTS.values():
            for right in LAYOUTS.values():
                out = LAYOUTS[out_layout](start)
                products.multiply(left(a), right(b), out, add=add)
                found = GPU.to_numpy(out)
                np.testing.assert_allclose(found, a @ b + (start if add else 0), rtol=0, atol=10 * ERROR[dtype])


def test_matrices_with_gaps_are_refused(device):
    gaps = GPU.zeros((4, 6), "float64")[:, ::2]
    with pytest.raises(BackendError, match="expected rows or columns without gaps"):
        products.multiply(gaps, GPU.zeros((3, 2), "float64"), GPU.zeros((4, 2), "float64"))


def pack_empty(precision, dtype="float32"):
    on = [GPU.zeros(shape, dtype) for shape in ((2, 12), (3, 12), 12)]
    return GPU.pack_lstm(*on, tokens=False, precision=precision)


@pytest.mark.parametrize("precision", products.NEEDS)
def test_precisions_need_their_hardware(device, precision):
    needs = products.NEEDS[precision]
    device.card.sm = needs - 1
    message = f"precision {precision} needs a GPU of compute capability {needs / 10}; this one has {(needs - 1) / 10}"
    with pytest.raises(BackendError, match=message):
        pack_empty(precision)
    assert pack_empty("").precision == ""


@pytest.mark.parametrize("precision", products.NEEDS)
def test_precisions_are_for_float32(device, precision):
    device.card.sm = products.NEEDS[precision]
    assert pack_empty(precision).precision == precision
    with pytest.raises(BackendError, match=f"precision {precision} is for float32 parameters; these are float64"):
        pack_empty(precision, "float64")
    with pytest.raises(BackendError, match="precision is 'int8'; expected tf32, bf16, fp16, or none"):
        pack_empty("int8")


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
@pytest.mark.parametrize("name", path_choice.PATHS)
def test_a_precision_is_handed_to_every_product(device, path, name, precision, monkeypatch):
    path(name)
    given = inputs((2, 3, 4, 5), "float32", R=3 if name == "steps" else None)
    asked = []
    multiply = products.multiply
    for module in (recurrence, recurrence.steps):
        monkeypatch.setattr(module, "multiply", lambda *a, **k: (asked.append(k["precision"]), multiply(*a, **k)))
    on = {name: GPU.asarray(values) for name, values in given.items()}
    layer = GPU.pack_lstm(
        on["W_x"], on["W_h"], on["b"], tokens=False, precision=precision, variant=variant_of(on, False)
    )
    _, _, tape = GPU.lstm_forward(on["x"], layer, on["h0"], on["c0"])
    GPU.lstm_backward(on["dh"], layer, tape, on["W_x"], on["W_h"], on["b"], variant_of(on, False))
    assert len(asked) == (4 if name == "resident" else 13)
    assert set(asked) == {precision}


def test_nothing_waits_for_the_device(device, path):
    """Only copying the arguments and results, which this test does itself, synchronises."""
    for name in path_choice.PATHS:
        path(name)
        on = {n: GPU.asarray(values) for n, values in inputs((3, 2, 4, 9), "float32").items()}
        before = device.counts.synchronisations
        packed = GPU.pack_lstm(on["W_x"], on["W_h"], on["b"], tokens=False, variant=PLAIN)
        _, _, tape = GPU.lstm_forward(on["x"], packed, on["h0"], on["c0"], mask=MASK)
        GPU.lstm_backward(on["dh"], packed, tape, on["W_x"], on["W_h"], on["b"])
        assert device.counts.synchronisations == before

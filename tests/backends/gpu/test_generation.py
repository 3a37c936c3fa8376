"""The kernels that generate text, on both paths and in three thread orders, against the reference backend."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numlstm.backends import reference
from numlstm.backends.gpu import device as device_room
from numlstm.backends.gpu import drawing, generation, path_choice, transfer
from numlstm.backends.reference import lstm
from numlstm.backends.spec import philox, sampling
from numlstm.backends.spec.variant import PLAIN, Variant
from numlstm.errors import BackendError
from tests.backends.gpu.parameters import ORDERS, slow

WAYS = ["resident", "steps"]
ALLOWED = {"float64": 1e-13, "float32": 2e-5}


def on_device(layer):
    """Return a stand-in for a packed layer, with the fields that sampling reads, from a layer of the reference."""
    W_x, W_h, b, variant = layer
    arrays = [None if part is None else transfer.asarray(part) for part in (W_x, W_h, b, *variant[:4])]
    sizes = {"input_size": W_x.shape[0], "hidden_size": W_h.shape[1] // 4, "state_size": W_h.shape[0]}
    return SimpleNamespace(weights=tuple(arrays[:3]), variant=Variant(*arrays[3:], variant.hard), **sizes)


class Case:
    """A network with its state and uniform numbers, run by the reference or on the device."""

    def __init__(self, V, units=(9,), B=5, N=4, *, E=0, variants=None, dtype="float64", seed=0):
        rng = np.random.default_rng([seed, V, B])
        variants = variants or [PLAIN] * len(units)
        self.layers, D = [], E or V
        for H, variant in zip(units, variants, strict=True):
            R = H if variant.W_p is None else variant.W_p.shape[1]
            sizes = ((D, 4 * H), (R, 4 * H), (4 * H,))
            weights = [(3 * rng.uniform(-1, 1, size) * H**-0.5).astype(dtype) for size in sizes]
            self.layers.append(lstm.Layer(*weights, variant))
            D = R
        self.output = ((2 * rng.standard_normal((D, V))).astype(dtype), rng.standard_normal(V).astype(dtype))
        self.embedding = rng.standard_normal((V, E)).astype(dtype) if E else None
        self.state = [
            tuple(rng.uniform(-1, 1, (B, size)).astype(dtype) for size in (layer.W_h.shape[0], layer.W_h.shape[1] // 4))
            for layer in self.layers
        ]
        self.ids, self.uniforms = rng.integers(0, V, B).astype(np.int32), rng.random((N, B))

    def expected(self, how):
        return reference.generate(
            self.layers, self.output, self.state, self.ids, self.uniforms, how, embedding=self.embedding
        )

    def drawn(self, how, rows=slice(None)):
        """Return the tokens and state of some streams; `how` holds the settings of these streams."""
        given = [tuple(transfer.asarray(part[rows]) for part in pair) for pair in self.state]
        tokens, after = generation.generate(
            [on_device(layer) for layer in self.layers],
            SimpleNamespace(weights=tuple(map(transfer.asarray, self.output))),
            given,
            transfer.asarray(self.ids[rows]),
            np.ascontiguousarray(self.uniforms[:, rows]),
            how,
            None if self.embedding is None else transfer.asarray(self.embedding),
        )
        for pair, before in zip(given, self.state, strict=True):
            for part, values in zip(pair, before, strict=True):
                np.testing.assert_array_equal(part.get(), values[rows], err_msg="the input state was overwritten")
        return tokens, [tuple(part.get() for part in pair) for pair in after]


def mixed(V, B, W=3, *, masked=True, seed=0):
    """Return settings of every kind, different for each stream, some of which need sorted tokens and some not."""
    rng = np.random.default_rng([seed, V])
    allowed = rng.random((B, V)) < 0.7
    allowed[np.arange(B), rng.integers(0, V, B)] = True
    return sampling.of(
        B,
        np.resize([1.0, 0.0, 2.5, 0.3], B),
        top_k=np.resize([0, 7, 3, 0, 10**12, 1], B),
        top_p=np.resize([1.0, 0.9, 0.5, 0.8, 1.0], B),
        min_p=np.resize([0.0, 0.05, 0.0], B),
        penalty=np.resize([1.0, 1.3, 0.8], B),
        recent=rng.integers(-1, V, (B, W)),
        allowed=allowed if masked else None,
    )


def assert_same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    for pair, others in zip(found[1], expected[1], strict=True):
        for part, other in zip(pair, others, strict=True):
            np.testing.assert_array_equal(part, other)


def assert_close(found, expected, dtype="float64"):
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[0].dtype == np.int32
    for pair, others in zip(found[1], expected[1], strict=True):
        for part, other in zip(pair, others, strict=True):
            assert part.dtype == dtype
            np.testing.assert_allclose(part, other, rtol=0, atol=ALLOWED[dtype])


def select(how, rows):
    return sampling.Sampling(*(None if part is None else part[rows] for part in how))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("V", [1, 2, 65, slow(5000)])
def test_mixed_settings_in_one_block(device, monkeypatch, order, V):
    """A block sampling for four streams with different settings matches the reference, and so does the step path."""
    device.order, device.card.processors = order, 1
    B = 5
    case, how = Case(V, B=B, N=2 if V == 5000 else 4), mixed(V, B, masked=V != 65)
    found = []
    for way in WAYS:
        monkeypatch.setenv(path_choice.VARIABLE, way)
        found.append(case.drawn(how))
        assert_close(found[-1], case.expected(how))
    assert_same(*found)
    assert {launched.kernel for launched in device.launches} >= {"write_4", "draw"}


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_draws_what_it_draws_alone(device, monkeypatch, way):
    """The result is bit-identical whatever the other streams are, how many share a block, and how many there are."""
    monkeypatch.setenv(path_choice.VARIABLE, way)
    B = 9
    case, how = Case(33, (7, 40, 3), B), mixed(33, B)
    together = {}
    for processors in (1, 5, 100):
        device.card.processors = processors
        device_room._facts.cache_clear()
        together[processors] = case.drawn(how)
        assert_same(together[processors], together[1])
    for b in (0, 3, B - 1):
        rows = slice(b, b + 1)
        tokens, state = case.drawn(select(how, rows), rows)
        own = [tuple(part[rows] for part in pair) for pair in together[1][1]]
        assert_same((tokens, state), (together[1][0][:, rows], own))
    if way == "resident":
        assert {launched.kernel for launched in device.launches} == {"write_1", "write_2", "write_4"}


def variant(rng, H, R=0, *, norm=False, hard=False, dtype="float64"):
    def of(*size):
        return rng.uniform(0.5, 1.5, size).astype(dtype)

    gains = (of(4 * H), of(H), of(H)) if norm else (None, None, None)
    return Variant(of(H, R) / H if R else None, *gains, hard)


@pytest.mark.parametrize("way", ["", *WAYS])
@pytest.mark.parametrize("E", [0, 6])
def test_hard_gates_and_embeddings(device, monkeypatch, way, E):
    monkeypatch.setenv(path_choice.VARIABLE, way)
    case = Case(12, (9, 34), 3, 6, E=E, variants=[Variant(hard=True), PLAIN])
    how = sampling.of(3, [1.0, 0.5, 2.0])
    assert_close(case.drawn(how), case.expected(how))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("R", "norm", "hard"), [(0, True, False), (5, False, False), (4, True, True)], ids=["norm", "projection", "all"]
)
def test_variants_go_step_by_step(device, order, R, norm, hard):
    device.order = order
    rng = np.random.default_rng(R)
    variants = [variant(rng, H, R, norm=norm, hard=hard) for H in (9, 70)]
    case, how = Case(11, (9, 70), 18, 3, variants=variants), mixed(11, 18)
    assert_close(case.drawn(how), case.expected(how))
    assert {launched.kernel for launched in device.launches} <= {"sums_16", "cells", "norm_cells", "draw"}


@pytest.mark.parametrize("way", WAYS)
def test_in_float32(device, monkeypatch, way):
    monkeypatch.setenv(path_choice.VARIABLE, way)
    case, how = Case(20, (17, 5), 4, 7, dtype="float32"), mixed(20, 4)
    assert_close(case.drawn(how), case.expected(how), "float32")


def constant(logits, streams, N=1):
    """Return a case with these logits for any input."""
    case = Case(len(logits), (2,), streams, N)
    case.output = (np.zeros_like(case.output[0]), np.array(logits, np.float64))
    return case


@pytest.mark.parametrize("V", [64, slow(drawing.SMALL), drawing.SMALL + 1, slow(2048)])
def test_equal_logits_are_ordered_by_their_ids(device, V):
    """Both sorting by counting and by merging; half of the tokens share a logit with others, 0 and -0 among them."""
    logits = np.random.default_rng(V).standard_normal(V).round(1) * np.where(np.arange(V) % 2, 1.0, -1.0)
    assert len(np.unique(logits)) < V / 2 or V == 64
    how = sampling.of(6, 2.0, top_k=[5, V // 2, V - 1, 0, V // 3, 1], top_p=[1.0, 1.0, 1.0, 0.37, 0.71, 1.0])
    case = constant(logits, 6)
    case.uniforms[:] = np.nextafter(1.0, 0.0)
    assert_close(case.drawn(how), case.expected(how))
    case.uniforms[:] = np.random.default_rng(0).random((1, 6))
    assert_close(case.drawn(how), case.expected(how))


@pytest.mark.parametrize("broken", [[np.nan, 1.0, 2.0], [np.inf, 0.0, np.inf], [-np.inf] * 3])
def test_logits_that_are_no_numbers_give_some_token(device, broken):
    how = sampling.of(4, [1.0, 0.0, 1.0, 1.0], top_k=[0, 0, 2, 0], top_p=[1.0, 1.0, 1.0, 0.5])
    tokens, _ = constant(broken, 4).drawn(how)
    assert ((tokens >= 0) & (tokens < 3)).all()


def test_no_tokens_and_no_launch(device):
    case = Case(5, (3, 4), 2, 0)
    assert_same(case.drawn(sampling.of(2)), (np.empty((0, 2), np.int32), case.state))
    assert not device.launches


@pytest.mark.parametrize("way", WAYS)
def test_the_host_waits_once(device, monkeypatch, way):
    monkeypatch.setenv(path_choice.VARIABLE, way)
    case = Case(11, (9, 5), 3, 20)
    layers = [on_device(layer) for layer in case.layers]
    output = SimpleNamespace(weights=tuple(map(transfer.asarray, case.output)))
    state = [tuple(map(transfer.asarray, pair)) for pair in case.state]
    ids, numbers = transfer.asarray(case.ids), generation.uniforms(3, [0, 1, 2], 0, 20)
    before = device.counts.synchronisations
    generation.generate(layers, output, state, ids, numbers, mixed(11, 3))
    assert device.counts.synchronisations == before + 1


@pytest.mark.parametrize(
    ("seed", "streams", "first", "count"),
    [(0, [0], 0, 1), (2**64 - 1, [5, 0, 2**32 - 1], 2**32 - 3, 9), (7, list(range(300)), 2**40, 2), (1, [1, 2], 0, 0)],
)
def test_uniforms(device, seed, streams, first, count):
    found = generation.uniforms(seed, streams, first, count).get()
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, philox.uniforms(seed, streams, first, count))


DEVICE = path_choice.Device(132, 227 * 1024)


def network(units, B=1, V=65, E=0, *, plain=True, shared=DEVICE.shared):
    return generation.choose(generation.Network(units, E, V, 4, plain), B, DEVICE._replace(shared=shared))


def test_the_choice_of_the_way(monkeypatch):
    monkeypatch.delenv(path_choice.VARIABLE, raising=False)
    assert network((128, 128)) == 1
    assert network((128, 128), 132) == 1
    assert network((128, 128), 133) == 2
    assert network((128, 128), 1000) == 4
    assert network((2048, 2048)) == network((1024, 1024), 5000) == 0, "reading weights needs all multiprocessors"
    assert network((128,), plain=False) == network((128,), V=60_000) == 0, "does not fit"
    monkeypatch.setenv(path_choice.VARIABLE, "resident")
    assert network((1024, 1024)) == 1
    assert network((1024, 1024), 133) == 2
    assert network((1024, 1024), 1000, shared=64 * 1024) == 2, "four streams per block do not fit"
    assert network((128,), plain=False) == 0
    with pytest.raises(BackendError, match="resident, but drawing from 60000 tokens with layers of 128, 64 units"):
        network((128, 64), V=60_000)
    monkeypatch.setenv(path_choice.VARIABLE, "steps")
    assert network((2,)) == 0


def test_threads_of_a_block():
    found = {drawing.draw_threads(units, V) for units in range(1, 700, 3) for V in (1, 8, 65, 200, 60_000)}
    assert max(found) <= drawing.MOST_THREADS
    assert all(threads % 32 == 0 or threads in (8, 16) for threads in found)
    assert [drawing.draw_threads(*sizes) for sizes in ((2, 8), (128, 65), (300, 65), (512, 65))] == [8, 128, 160, 256]

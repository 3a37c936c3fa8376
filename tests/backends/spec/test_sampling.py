"""The distribution of sampled tokens, judged by a slow oracle that shares no code with the samplers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numlstm.backends import reference, registry
from numlstm.backends.spec import sampling
from tests.backends.contract import frozen, network, random_state

LOGITS = [1.0, -0.5, 0.25, 1.0, 2.5, -3.0, 0.0, 2.0]
RECENT = [4, 4, 1, -1, 3]
DRAWS = 5_000


def oracle(logits, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, penalty=1.0, recent=(), allowed=None):
    """Return the probability of each token, in plain Python from the description in `spec/sampling.py`."""
    x = dict(enumerate(logits))
    for token in set(recent) - {-1}:
        x[token] = x[token] / penalty if x[token] > 0 else x[token] * penalty
    if allowed is not None:
        x = {token: value for token, value in x.items() if allowed[token]}
    ranked = sorted(x, key=lambda token: (-x[token], token))
    if temperature == 0:
        return [float(token == ranked[0]) for token in range(len(logits))]
    weight = {token: math.exp((x[token] - x[ranked[0]]) / temperature) for token in ranked}
    if top_k:
        ranked = ranked[:top_k]
    whole, reached, nucleus = sum(weight[token] for token in ranked), 0.0, []
    for token in ranked:
        if nucleus and reached / whole >= top_p:
            break
        nucleus.append(token)
        reached += weight[token]
    left = [token for token in nucleus if weight[token] >= min_p * weight[nucleus[0]]]
    whole = sum(weight[token] for token in left)
    return [weight[token] / whole if token in left else 0.0 for token in range(len(logits))]


def follows(counts, probabilities):
    """Return True if the counts fit the probabilities, by Pearson's chi-square test at a false-alarm rate of 10**-6."""
    counts, p = np.asarray(counts, float), np.asarray(probabilities)
    if counts[p == 0].any():
        return False
    order = np.argsort(p)[(p == 0).sum() :]
    groups = np.cumsum(counts.sum() * p[order]) // 10  # tokens too rare for the test are pooled
    starts = np.flatnonzero(np.diff(groups, prepend=-1.0))
    found, expected = np.add.reduceat(counts[order], starts), np.add.reduceat(counts.sum() * p[order], starts)
    statistic, free = ((found - expected) ** 2 / expected).sum(), len(expected) - 1
    if free == 0:
        return True
    return statistic < free * (1 - 2 / (9 * free) + 4.75 * math.sqrt(2 / (9 * free))) ** 3  # Wilson and Hilferty 1931


def constant(backend, logits):
    """Return a network with these logits for any input."""
    V, array, layers = len(logits), backend.asarray, []
    for D in (V, 2):
        zeros = [array(np.zeros(size)) for size in ((D, 8), (2, 8), (8,))]
        layers.append(backend.pack_lstm(*zeros, tokens=not layers))
    return layers, backend.pack_dense(array(np.zeros((2, V))), array(np.array(logits)))


def zero_state(backend, B):
    return [(backend.zeros((B, 2), "float64"), backend.zeros((B, 2), "float64")) for _ in range(2)]


def counts(backend, logits=LOGITS, streams=DRAWS, **settings):
    for name, size in (("recent", None), ("allowed", None)):
        if settings.get(name, size) is not None:
            settings[name] = np.tile(settings[name], (streams, 1))
    layers, output = constant(backend, logits)
    state = zero_state(backend, streams)
    ids = backend.asarray(np.zeros(streams, np.int32))
    uniforms = np.random.default_rng(1).random((1, streams))
    drawn, _ = backend.generate(layers, output, state, ids, uniforms, sampling.of(streams, **settings))
    return np.bincount(drawn[0], minlength=len(logits))


@pytest.fixture(scope="module", params=["reference", "cpu"])
def each(request):
    return registry.load(request.param)


ALLOWED = [True, True, True, True, False, True, True, True]
# Settings, and similar ones that the test must tell apart.
CASES = [
    ({"temperature": 1.0}, {"temperature": 1.25}),
    ({"temperature": 0.5}, {"temperature": 0.65}),
    ({"temperature": 0.0}, {"temperature": 0.3}),
    ({"top_k": 3}, {"top_k": 4}),
    ({"top_k": 3}, {"top_k": 2}),
    ({"top_k": 1}, {"top_k": 2}),
    ({"top_p": 0.8}, {"top_p": 0.9}),
    ({"top_p": 0.8}, {"top_p": 0.5}),
    ({"top_p": 1e-9}, {"top_p": 0.5}),
    ({"min_p": 0.2}, {"min_p": 0.1}),
    ({"min_p": 1.0}, {"min_p": 0.5}),
    ({"penalty": 1.5, "recent": RECENT}, {"penalty": 1.2, "recent": RECENT}),
    ({"penalty": 1.5, "recent": RECENT}, {"penalty": 1.5, "recent": RECENT[:2]}),
    ({"penalty": 0.7, "recent": RECENT}, {"penalty": 1.0}),
    ({"allowed": ALLOWED}, {}),
    ({"top_k": 4, "top_p": 0.9, "temperature": 1.5}, {"top_p": 0.9, "temperature": 1.5}),
    ({"top_k": 4, "min_p": 0.6, "temperature": 2.0}, {"top_k": 4, "temperature": 2.0}),
    (
        {"top_p": 0.9, "penalty": 1.3, "recent": RECENT, "temperature": 0.7, "allowed": ALLOWED},
        {"top_p": 0.9, "temperature": 0.7, "allowed": ALLOWED},
    ),
    (
        {"top_k": 6, "top_p": 0.95, "min_p": 0.06, "penalty": 1.2, "recent": RECENT, "temperature": 0.9},
        {"top_k": 6, "top_p": 0.85, "min_p": 0.06, "penalty": 1.2, "recent": RECENT, "temperature": 0.9},
    ),
]


@pytest.mark.parametrize(("settings", "others"), CASES, ids=str)
def test_drawn_tokens_follow_the_stated_distribution(each, settings, others):
    found = counts(each, **settings)
    assert follows(found, oracle(LOGITS, **settings))
    assert not follows(counts(each, **others), oracle(LOGITS, **settings)), "the test must reject a wrong sampler"


def test_the_order_of_the_settings_is_the_stated_one(each):
    """Applying top-k after top-p, or the temperature last, would keep other tokens."""
    logits = np.log([0.4, 0.3, 0.2, 0.1])
    assert follows(counts(each, logits, top_k=2, top_p=0.5), [1, 0, 0, 0]), "0.4 / 0.7 is above one half"
    assert follows(counts(each, logits, top_p=0.75, temperature=0.5), oracle(logits, temperature=0.5, top_p=0.75))
    assert not counts(each, logits, top_p=0.75, temperature=0.5)[2]


def test_of_equally_likely_tokens_those_of_lower_ids_are_kept(each):
    found = counts(each, [0.0, 1.0, 1.0, 1.0, 1.0], top_k=2)
    assert found[[0, 3, 4]].sum() == 0
    assert follows(found, [0, 0.5, 0.5, 0, 0])
    assert counts(each, [1.0, 1.0, 1.0, 1.0], top_p=0.5)[2:].sum() == 0


def mixed(rng, B, V, W=5):
    """Return settings of every kind, different for each stream."""
    allowed = rng.random((B, V)) < 0.7
    allowed[np.arange(B), rng.integers(0, V, B)] = True
    return sampling.of(
        B,
        rng.choice([0.0, 0.3, 1.0, 2.5], B),
        top_k=rng.choice([0, 1, 2, 7, 10**6], B),
        top_p=rng.choice([1.0, 0.9, 0.5, 1e-6], B),
        min_p=rng.choice([0.0, 0.0, 0.05, 0.5, 1.0], B),
        penalty=rng.choice([1.0, 1.3, 0.8], B),
        recent=rng.integers(-1, V, (B, W)),
        allowed=allowed if rng.random() < 0.5 else None,
    )


@pytest.mark.parametrize("V", [1, 2, 3, 11, 70, 700])
def test_every_backend_draws_the_same(backend, V):
    B, N, layers = 40, 9, (9, 4)
    for seed in range(4):
        rng = np.random.default_rng([V, seed])
        how, ids, uniforms = mixed(rng, B, V), frozen(rng.integers(0, V, B), np.int32), rng.random((N, B))
        given = [None if part is None else part.copy() for part in how]
        found = []
        for judged in (backend, reference):
            packed, output = network(judged, seed, V, layers)
            state = random_state(judged, seed, layers, B)
            found.append(judged.generate(packed, output, state, judged.asarray(ids), uniforms, how)[0])
        np.testing.assert_array_equal(*found)
        for part, before in zip(how, given, strict=True):
            np.testing.assert_array_equal(part, before, err_msg="the arguments must not be written to")


def test_each_stream_has_settings_of_its_own(each):
    """A stream samples the same tokens alone and in a mixed batch; a plain one also as in a plain batch."""
    B, V, N = 12, 11, 15
    rng = np.random.default_rng(5)
    how, uniforms = mixed(rng, B, V)._replace(allowed=None), rng.random((N, B))
    for part, neutral in ((how.top_k, 0), (how.top_p, 1), (how.min_p, 0), (how.penalty, 1)):
        part[:3] = neutral
    packed, output = network(each, 0, V, (9, 4))
    ids = np.zeros(B, np.int32)

    def drawn(rows, how):
        state = [
            tuple(each.asarray(each.to_numpy(part)[rows]) for part in pair) for pair in random_state(each, 0, (9, 4), B)
        ]
        return each.generate(packed, output, state, each.asarray(ids[rows]), uniforms[:, rows], how)[0]

    together = drawn(slice(None), how)
    plain = drawn(slice(0, 3), sampling.of(3, how.temperature[:3]))
    np.testing.assert_array_equal(together[:, :3], plain)
    for b in range(B):
        alone = sampling.Sampling(*(part[b : b + 1] for part in how[:6]), None)
        np.testing.assert_array_equal(drawn(slice(b, b + 1), alone)[:, 0], together[:, b])


def test_the_penalty_looks_at_what_is_drawn(each):
    """With a window of 2 and a strong penalty, no token repeats one of the last two."""
    N, B = 30, 4
    layers, output = constant(each, [3.0, 2.0, 1.5, 1.0, 0.5])
    state = zero_state(each, B)
    how = sampling.of(B, 0.0, penalty=100.0, recent=np.full((B, 2), -1))
    drawn, _ = each.generate(layers, output, state, each.asarray(np.zeros(B, np.int32)), np.zeros((N, B)), how)
    np.testing.assert_array_equal(drawn[:, 0], np.resize([0, 1, 2], N))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": -1.0}, "temperature is -1.0; expected a number of at least 0"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0; expected a number above 0"),
        ({"min_p": 1.5}, "min_p is 1.5"),
        ({"penalty": 0.0}, "penalty is 0.0"),
        ({"temperature": [1.0, 2.0, 3.0]}, "one number for each of 2"),
        ({"recent": [1, 2]}, "recent has the shape"),
        ({"allowed": [[True, False], [False, False]]}, "each row allowing something"),
    ],
)
def test_settings_out_of_range(settings, said):
    from numlstm.errors import ConfigError

    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        sampling.of(2, **settings)

"""The model API: state, gradients, losses, evaluation and generation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.backends.spec.dropout import Dropout
from numlstm.backends.spec.philox import uniforms
from numlstm.errors import BackendError, ConfigError, CorpusError
from numlstm.generation.writing import generate, generate_many
from numlstm.model import Model
from numlstm.network import parameters
from numlstm.network.evaluate import evaluate
from numlstm.settings.network import NetworkSettings
from numlstm.settings.sampling import SamplingSettings
from numlstm.text.vocab.char import CharVocab
from numlstm.text.vocab.word import WordVocab

SYMBOLS = "\nabcdefgh "
LAYERS = (11, 3)


@pytest.fixture(scope="module", params=registry.names())
def device(request):
    try:
        registry.load(request.param)
    except BackendError as error:
        pytest.skip(str(error))
    return request.param


@pytest.fixture
def model(device):
    return make(device)


def make(device, dtype="float64", layers=LAYERS, seed=0, strength=3.0):
    """Return a model with larger weights than a new one has, so that its output depends on what it has read."""
    vocab = CharVocab(SYMBOLS)
    made = Model.create(len(vocab), layers, seed=seed, device=device, dtype=dtype, vocab=vocab)
    made.set_params({name: strength * values for name, values in made.params.items()})
    return made


def ids_of(rng, T, B):
    ids = rng.integers(0, len(SYMBOLS), (T + 1, B))
    return ids[:-1], ids[1:]


def numbers(model, state):
    return [tuple(model.backend.to_numpy(part) for part in pair) for pair in state]


def assert_same_state(model, found, expected):
    for pair, other in zip(numbers(model, found), numbers(model, expected), strict=True):
        np.testing.assert_allclose(pair, other, rtol=0, atol=1e-13)


def nats(logits, targets):
    """Return the mean loss in nats, straight from the definition."""
    logits = logits.reshape(-1, logits.shape[-1])
    chosen = logits[np.arange(len(logits)), np.ravel(targets)]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen))


def test_step_by_step_equals_the_whole_sequence(model):
    ids, _ = ids_of(np.random.default_rng(0), 12, 4)
    whole, last = model.logits(ids)
    state, steps = None, []
    for t in range(12):
        logits, state = model.logits(ids[t : t + 1], state)
        steps.append(logits)
    np.testing.assert_allclose(np.concatenate(steps), whole, rtol=0, atol=1e-13)
    assert_same_state(model, state, last)


@pytest.mark.parametrize("cuts", [(5,), (1, 2, 30), (29, 30)])
def test_carried_state_equals_one_long_sequence(model, cuts):
    ids, targets = ids_of(np.random.default_rng(1), 31, 3)
    whole, last = model.loss(ids, targets)
    state, total = None, 0.0
    for first, end in zip((0, *cuts), (*cuts, 31), strict=True):
        loss, state = model.loss(ids[first:end], targets[first:end], state)
        total += loss * (end - first)
    assert total / 31 == pytest.approx(whole, rel=1e-13)
    assert_same_state(model, state, last)


def test_a_batch_is_its_rows_side_by_side(model):
    ids, _ = ids_of(np.random.default_rng(2), 7, 5)
    together, last = model.logits(ids)
    for b in range(5):
        alone, state = model.logits(ids[:, b : b + 1])
        np.testing.assert_allclose(together[:, b : b + 1], alone, rtol=0, atol=1e-13)
        assert_same_state(model, [(h[b : b + 1], c[b : b + 1]) for h, c in last], state)


def test_read_leaves_the_state_of_the_ids(model):
    ids, _ = ids_of(np.random.default_rng(3), 9, 2)
    _, expected = model.logits(ids)
    state = model.read(ids[:4], model.zero_state(2))
    state = model.read(ids[4:4], state)  # no ids
    assert_same_state(model, model.read(ids[4:], state), expected)


def test_a_given_state_is_not_written_to(model):
    ids, targets = ids_of(np.random.default_rng(4), 6, 2)
    _, state = model.logits(ids)
    before = numbers(model, state)
    model.loss_and_gradients(ids, targets, state)
    model.loss(ids, targets, state)
    model.read(ids, state)
    model.draw(ids[0], state, np.full((3, 2), 0.5), 1.0)
    for pair, kept in zip(numbers(model, state), before, strict=True):
        np.testing.assert_array_equal(pair, kept)


def test_loss_and_gradients_by_name(model):
    ids, targets = ids_of(np.random.default_rng(5), 8, 3)
    loss, grads, state = model.loss_and_gradients(ids, targets)
    logits, last = model.logits(ids)
    assert loss == pytest.approx(nats(logits, targets), rel=1e-12)
    assert model.loss(ids, targets)[0] == loss
    assert {name: d.shape for name, d in grads.items()} == parameters.shapes(model.config)
    assert all(d.dtype == np.float64 and d.any() for d in grads.values())
    assert_same_state(model, state, last)


def test_gradients_are_fresh_each_time(model):
    rng = np.random.default_rng(6)
    first, second = (ids_of(rng, 8, 3) for _ in range(2))
    _, grads, _ = model.loss_and_gradients(*first)
    kept = {name: d.copy() for name, d in grads.items()}
    _, other, _ = model.loss_and_gradients(*second)
    _, again, _ = model.loss_and_gradients(*first)
    for name, d in kept.items():
        np.testing.assert_array_equal(grads[name], d)  # a copy
        np.testing.assert_array_equal(again[name], d)
        assert (other[name] != d).any()


def assert_the_loss_falls_as_the_gradient_says(model, **options):
    ids, targets = ids_of(np.random.default_rng(7), 8, 3)
    loss, grads, _ = model.loss_and_gradients(ids, targets, **options)
    slope = sum(float(np.sum(d**2)) for d in grads.values())
    step = 1e-6
    model.set_params({name: values - step * grads[name] for name, values in model.params.items()})
    assert loss - model.loss(ids, targets, **options)[0] == pytest.approx(step * slope, rel=1e-4)


def test_a_small_step_against_the_gradient_lowers_the_loss_as_it_says(model):
    assert_the_loss_falls_as_the_gradient_says(model)


def test_a_small_step_does_so_where_dropout_masks_arrays_of_one_shape(device):
    """The embedding and all layers have outputs of the same shape, so a mask could be applied to the wrong one."""
    model = Model.create(len(SYMBOLS), (3, 3, 3, 3), seed=1, device=device, dtype="float64", embedding=3)
    assert_the_loss_falls_as_the_gradient_says(model, dropout=Dropout(0.4, seed=2))


def test_params_round_trip(model):
    ids, _ = ids_of(np.random.default_rng(8), 5, 2)
    other = make(model.backend.name, seed=9)
    before, _ = other.logits(ids)
    expected, _ = model.logits(ids)
    assert (before != expected).any()
    other.set_params(model.params)
    np.testing.assert_array_equal(other.logits(ids)[0], expected)
    for name, values in model.params.items():
        np.testing.assert_array_equal(other.params[name], values)


def test_params_are_copies(model):
    ids, _ = ids_of(np.random.default_rng(9), 5, 2)
    before, _ = model.logits(ids)
    for values in model.params.values():
        values[...] = 0
    np.testing.assert_array_equal(model.logits(ids)[0], before)


def test_create_draws_from_the_seed(device):
    first, again, other = (Model.create(5, (4,), seed=seed, device=device) for seed in (1, 1, 2))
    assert first.config == NetworkSettings(5, (4,))
    np.testing.assert_array_equal(first.backend.to_numpy(first.flat), parameters.initialise(first.config, 1))
    np.testing.assert_array_equal(first.params["output.W"], again.params["output.W"])
    assert (first.params["output.W"] != other.params["output.W"]).all()


@pytest.mark.parametrize(
    "ids", [[[0], [len(SYMBOLS)]], [[-1]], 1, [[0.0]], [[True]], [[[0]]]], ids=["high", "low", *"0fb3"]
)
def test_ids_that_do_not_fit(model, ids):
    good = np.zeros_like(np.asarray(ids), int).reshape(-1, 1)
    calls = [
        lambda: model.logits(ids),
        lambda: model.loss(ids, good),
        lambda: model.loss(good, ids),
        lambda: model.loss_and_gradients(ids, good),
        lambda: model.loss_and_gradients(good, ids),
        lambda: model.read(ids, model.zero_state(1)),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match=r"^ids .*expected (0 to 9|whole numbers|the same)"):
            call()


def test_the_ids_of_one_text_need_no_second_axis(model):
    ids, targets = ids_of(np.random.default_rng(3), 6, 1)
    one, following = ids[:, 0], targets[:, 0]
    np.testing.assert_array_equal(model.logits(one)[0], model.logits(ids)[0][:, 0])
    assert model.loss(one, following)[0] == model.loss(ids, targets)[0]
    for alone, batched in zip(model.hidden(one), model.hidden(ids), strict=True):
        np.testing.assert_array_equal(alone, batched[:, 0])
    (loss, gradients, _), (expected, others, _) = (
        model.loss_and_gradients(one, following),
        model.loss_and_gradients(ids, targets),
    )
    assert loss == expected
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, others[name])


def test_ids_and_targets_of_different_shapes(model):
    with pytest.raises(ConfigError, match=r"ids have shape \(3, 2\) and targets \(2, 3\)"):
        model.loss_and_gradients(np.zeros((3, 2), int), np.zeros((2, 3), int))


def test_a_first_id_to_draw_from_that_does_not_fit(model):
    with pytest.raises(ConfigError, match="ids range from 99"):
        model.draw([99], model.zero_state(1), np.zeros((1, 1)), 1.0)


def test_a_vocabulary_of_another_size():
    config = NetworkSettings(4, (2,))
    with pytest.raises(ConfigError, match="vocab_size is 4, but the vocabulary has 10 symbols"):
        Model(config, parameters.initialise(config, 0), registry.load("reference"), vocab=CharVocab(SYMBOLS))
    without = Model.create(4, (2,), device="reference")
    with pytest.raises(CorpusError, match="no vocabulary"):
        without.generate("ab")


def walk(model, ids):
    """Return the mean loss over a text, computed one token at a time."""
    state, total = model.zero_state(1), 0.0
    for now, following in itertools.pairwise(ids):
        logits, state = model.logits(np.array([[now]]), state)
        total += nats(logits, [following])
    return total / (len(ids) - 1)


@pytest.mark.parametrize("size", [2, 3, 64, 65, 66, 200])
def test_evaluate_is_a_walk_through_the_text(model, size):
    ids = np.random.default_rng(size).integers(0, len(SYMBOLS), size).astype(np.uint8)
    assert evaluate(model, ids) == pytest.approx(walk(model, ids), rel=1e-12)
    assert evaluate(model, ids, streams=8) == evaluate(model, ids)  # too short to be split


def with_memory(device):
    """Return a model that remembers about fifty tokens, and a text for it."""
    model = make(device, layers=(7,), strength=2.0)
    bias = model.params["lstm.0.b"]
    bias[7:14] = 4.0
    model.set_params({**model.params, "lstm.0.b": bias})
    rng = np.random.default_rng(0)
    return model, np.cumsum(rng.integers(0, 3, 9300)) % len(SYMBOLS)


def by_parts(model, ids, streams):
    """Return the mean loss if the text is split into parts, each read after the 256 tokens before it."""
    length, total = (len(ids) - 1) // streams, 0.0
    for n in range(streams):
        first, end = n * length, len(ids) - 1 if n == streams - 1 else (n + 1) * length
        state = model.read(ids[max(0, first - 256) : first, None], model.zero_state(1))
        total += model.loss(ids[first:end, None], ids[first + 1 : end + 1, None], state)[0] * (end - first)
    return total / (len(ids) - 1)


@pytest.mark.parametrize(
    ("streams", "cut_into"),
    [(8, 8), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((2, 2), (1000, 9)))],
)
def test_evaluate_by_streams_is_the_same_to_a_thousandth(device, streams, cut_into):
    model, ids = with_memory(device)
    found = evaluate(model, ids, streams=streams)
    assert found == pytest.approx(by_parts(model, ids, cut_into), rel=1e-12)
    assert found == pytest.approx(evaluate(model, ids), abs=2e-3)
    nothing_before = model.zero_state(1)
    cold = [model.loss(part[:-1, None], part[1:, None], nothing_before)[0] for part in np.array_split(ids, cut_into)]
    assert abs(found - np.mean(cold)) > 1e-5  # this model depends on the text before a part


def test_evaluate_counts_each_token_once(device):
    """With zero weights the state does not matter, so the loss is the mean of -log p over the targets."""
    model = make(device, strength=0.0)
    bias = np.arange(len(SYMBOLS)) / 3
    model.set_params({**model.params, "output.b": bias})
    ids = np.random.default_rng(1).integers(0, len(SYMBOLS), 5000)
    expected = nats(np.tile(bias, (4999, 1)), ids[1:])
    for streams in (1, 3, 4):
        assert evaluate(model, ids, streams=streams) == pytest.approx(expected, rel=1e-12)


def test_evaluate_of_nothing_is_nan():
    model = make("reference")
    assert math.isnan(evaluate(model, np.array([], np.uint8)))
    assert math.isnan(evaluate(model, np.array([1], np.uint8)))


def random_numbers(seed, length, stream=0):
    """Return the random numbers for the first `length` tokens of a stream."""
    return uniforms(seed, [stream], 0, length)[:, 0]


def write(model, prompt, uniforms, temperature):
    """Generate step by step: read a newline and the prompt, then run the network and draw once per character."""
    logits, state = model.logits(model.vocab.encode("\n" + prompt)[:, None])
    text = ""
    for uniform in uniforms:
        row = logits[-1, 0]
        if temperature == 0:
            token = int(row.argmax())
        else:
            chances = np.exp((row - row.max()) / temperature)
            token = int(np.searchsorted(np.cumsum(chances / chances.sum()), uniform, side="right"))
        text += SYMBOLS[min(token, len(SYMBOLS) - 1)]
        logits, state = model.logits(np.array([[token]]), state)
    return text


@pytest.mark.parametrize("temperature", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("prompt", ["a", "head cafe bag"])
def test_generation_is_a_walk_through_the_network(model, prompt, temperature):
    expected = write(model, prompt, random_numbers(5, 60), temperature)
    assert model.generate(prompt, length=60, temperature=temperature, seed=5) == expected
    if temperature > 0.5:
        assert len(set(expected)) > 3


def test_no_prompt_starts_after_a_line_s_end(model):
    assert model.generate("", length=40, seed=1) == write(model, "", random_numbers(1, 40), 0.6)


@pytest.mark.parametrize("length", [0, 1, 2, 37, 1000])
def test_the_length_is_exact_and_the_beginning_does_not_depend_on_it(model, length):
    text = model.generate("abc", length=length, temperature=1.0, seed=2)
    assert len(text) == length
    longer = model.generate("abc", length=1000, temperature=1.0, seed=2)
    assert longer.startswith(text)


def test_the_seed_decides(model):
    first, again, other = (model.generate("abc", length=80, temperature=1.0, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    greedy = {model.generate("abc", length=80, temperature=0, seed=seed) for seed in (3, 4)}
    assert len(greedy) == 1


def test_a_long_prompt(model):
    prompt = "".join(np.random.default_rng(0).choice(list(SYMBOLS), 3000))
    assert model.generate(prompt, length=20, seed=0) == write(model, prompt, random_numbers(0, 20), 0.6)


def test_text_comes_in_pieces_that_need_not_be_asked_for(model):
    pieces = generate(model, "abc", SamplingSettings(length=10**9, temperature=1.0, seed=2))
    first = next(pieces) + next(pieces)
    assert model.generate("abc", length=100, temperature=1.0, seed=2).startswith(first)


def texts_of_their_own(model, prompts, length, temperature, seed):
    """Return texts drawn one at a time, each with the random numbers of its own stream."""
    return [write(model, p, random_numbers(seed, length, stream=n), temperature) for n, p in enumerate(prompts)]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_many_texts_are_those_drawn_one_after_the_other(model, temperature):
    prompts = ["ab", "head cafe bag", "a", "gab", "head", "a", "cafe bag head"]
    found = model.generate_many(prompts, length=50, temperature=temperature, seed=4)
    assert found == texts_of_their_own(model, prompts, 50, temperature, 4)
    assert found[0] == model.generate("ab", length=50, temperature=temperature, seed=4)


def test_a_text_does_not_depend_on_how_many_there_are(model):
    many = model.generate_many(["abc"] * 9, length=40, temperature=1.0, seed=2)
    assert len(set(many)) == 9
    for n in (1, 2, 5):
        assert model.generate_many(["abc"] * n, length=40, temperature=1.0, seed=2) == many[:n]


def test_many_texts_of_odd_prompts(model):
    assert model.generate_many([]) == []
    assert model.generate_many(["abc", ""], length=0) == ["", ""]
    odd = [write(model, prompt, np.zeros(30), 0) for prompt in ("", "\n")]
    assert model.generate_many(["", "\n"], length=30, temperature=0) == odd
    with pytest.raises(CorpusError, match="'X'"):
        model.generate_many(["abc", "abX"])
    with pytest.raises(ConfigError, match="temperature"):
        model.generate_many(["abc"], temperature=-1)
    dropped = generate_many(model, ["abX", "Xc"], SamplingSettings(length=5, seed=0), drop_unknown=True)
    assert dropped == model.generate_many(["ab", "c"], length=5, seed=0)


def test_unknown_characters_in_the_prompt(model):
    with pytest.raises(CorpusError, match=r"the text has 2 characters .*'X'.*'é'.*`drop_unknown`"):
        generate(model, "abXcéX", SamplingSettings(length=1))  # raised before the first draw
    dropped = "".join(generate(model, "abXcéX", SamplingSettings(length=30, seed=0), drop_unknown=True))
    assert dropped == model.generate("abc", length=30, seed=0)


@pytest.mark.parametrize("setting", [{"length": -1}, {"temperature": -0.1}, {"temperature": math.nan}, {"seed": -1}])
def test_settings_out_of_range(model, setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        model.generate("a", **setting)


def test_a_state_that_does_not_fit(model):
    ids, targets = ids_of(np.random.default_rng(9), 3, 4)
    for state in (model.zero_state(1), model.zero_state(4)[:1], model.zero_state(4)[::-1]):
        for call in (
            lambda state=state: model.loss_and_gradients(ids, targets, state),
            lambda state=state: model.loss(ids, targets, state),
            lambda state=state: model.logits(ids, state),
            lambda state=state: model.draw(ids[0], state, np.zeros((2, 4)), 1.0),
        ):
            with pytest.raises(ConfigError, match="the state has shapes"):
                call()


def test_nothing_to_learn_from(model):
    nothing = np.zeros((0, 4), np.int32)
    with pytest.raises(ConfigError, match=r"at least \(1, 1\)"):
        model.loss_and_gradients(nothing, nothing)


@pytest.mark.parametrize("uniforms", [np.zeros(3), np.zeros((3, 5))])
def test_uniforms_that_do_not_fit(model, uniforms):
    with pytest.raises(ConfigError, match=r"expected \(N, 4\)"):
        model.draw(np.zeros(4, np.int32), model.zero_state(4), uniforms, 1.0)


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf])
def test_a_temperature_that_is_none(model, temperature):
    with pytest.raises(ConfigError, match="temperature"):
        model.draw(np.zeros(4, np.int32), model.zero_state(4), np.zeros((1, 4)), temperature)


@pytest.mark.parametrize("tied", [False, pytest.param(True, marks=pytest.mark.slow)])  # needs more kernels
def test_the_sign_for_unknown_words_is_never_written(device, tied):
    vocab = WordVocab(("<unk>", "<eos>", "<join>", "cat", "dog"))
    more = {"embedding": 4, "tie_weights": True} if tied else {}
    model = Model.create(len(vocab), (4, 4), device=device, dtype="float64", vocab=vocab, **more)
    model.set_params({**model.params, "output.b": [90, 0, 0, 40, 0]})
    before = model.flat.tobytes()
    logits = model.logits([[3]])[0]
    assert model.generate("cat", length=3) == " cat cat cat"
    assert model.generate_many(["dog", ""], length=2) == [" cat cat", "cat cat"]
    assert model.flat.tobytes() == before
    np.testing.assert_array_equal(model.logits([[3]])[0], logits)
    begun = model.stream("cat", length=3)
    assert next(begun)
    np.testing.assert_array_equal(model.logits([[3]])[0], logits, "while a text is being written too")
    with pytest.raises(ConfigError, match="temperature"):
        model.stream("cat", temperature=-1)

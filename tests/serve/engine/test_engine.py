"""The engine generates many clients' texts in parallel; each is what it would be alone, whatever happens to others."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.generation.text_probabilities import log_probabilities
from numlstm.generation.writing import Writing
from numlstm.model import generation_model, load
from numlstm.network import parameters, weights_file
from numlstm.serve.engine.engine import Engine, TextRequest
from numlstm.serve.http.refusal import Refusal
from numlstm.serve.server_settings import Settings
from numlstm.settings.network import NetworkSettings
from numlstm.settings.sampling import SamplingSettings
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.char import CharVocab
from numlstm.text.vocab.word import WordVocab

SYMBOLS = "\n abcdefgh"
VOCABS = {
    "char": CharVocab(SYMBOLS),
    "byte": ByteVocab(),
    "word": WordVocab(("<unk>", "<eos>", "<join>", "cat", "dog", ",")),
}


def save(path, vocab, layers=(8,), seed=0):
    config = NetworkSettings(len(vocab), layers)
    weights_file.save(path, weights_file.WeightsFile(config, vocab, parameters.initialise(config, seed) * 3, {}))


@pytest.fixture
def folder(tmp_path):
    for name, vocab in VOCABS.items():
        save(tmp_path / f"{name}.npz", vocab)
    return tmp_path


@contextlib.asynccontextmanager
async def running(folder, **settings):
    """Yield a started engine that serves the models of a folder."""

    def find(name):
        if not (folder / f"{name}.npz").exists():
            raise Refusal(404, f"there is no model {name}", "model_not_found")
        return folder / f"{name}.npz"

    engine = Engine(Settings(models=folder, **{"device": "reference", **settings}), find)
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


async def whole(stream):
    """Read a stream to its end; return its text, its tokens and its finish reason."""
    pieces = [piece async for piece in stream]
    assert all(piece.text or piece.tokens or piece.finish for piece in pieces), "an empty piece"
    assert [piece.finish for piece in pieces[:-1]] == [""] * (len(pieces) - 1)
    tokens = [token for piece in pieces for token in piece.tokens]
    return "".join(piece.text for piece in pieces), tokens, pieces[-1].finish


async def written(engine, name, prompt="", **wanted):
    rest = {key: wanted.pop(key) for key in ("number", "drop_unknown", "logprobs", "echo") if key in wanted}
    stream = engine.write(await engine.load(name), TextRequest(prompt, SamplingSettings(**wanted), **rest))
    return (*await whole(stream), stream.usage)


def alone(folder, name, prompt, config, number=0):
    """Generate the text as the command line does."""
    model = load(folder / f"{name}.npz", device="reference")
    file = dataclasses.replace(model.config, dtype="float64")
    model = type(model)(file, model.flat.astype("float64"), model.backend, vocab=model.vocab)
    return Writing(model.without_unknown(), [prompt] * (number + 1), config).all()[number]


@pytest.mark.parametrize("name", VOCABS)
def test_a_text_is_what_the_command_line_writes_whoever_else_writes(folder, name):
    prompts = {"char": ["", "abc", "gab " * 100], "byte": ["", "né"], "word": ["cat", "", "dog, cat"]}[name]
    orders = [(p, SamplingSettings(40 + 9 * n, 0.5 + n / 5, n), n % 3) for n, p in enumerate(prompts * 3)]

    async def main():
        async with running(folder) as engine:

            async def one(n, prompt, config, number):
                await asyncio.sleep(n * 0.003)
                stream = engine.write(await engine.load(name), TextRequest(prompt, config, number))
                return *await whole(stream), stream.usage

            return await asyncio.gather(*(one(n, *order) for n, order in enumerate(orders)))

    for (text, tokens, finish, usage), (prompt, config, number) in zip(asyncio.run(main()), orders, strict=True):
        expected = alone(folder, name, prompt, config, number)
        assert text == expected.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") or name == "byte"
        if name == "byte":
            assert text == "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in expected.text)
        assert (tokens, finish) == ([], "length")
        assert usage == (len(expected.prompt_ids), len(expected.ids)) == (len(expected.prompt_ids), config.length)


def run(folder, work, **settings):
    """Return the result of `work(engine)`, run in a new event loop."""

    async def main():
        async with running(folder, **settings) as engine:
            return await work(engine)

    return asyncio.run(main())


def test_by_the_kernels_too(folder):
    """With compiled kernels too, each text is exactly what it would be alone."""
    orders = [(f"{'gab ' * n}", SamplingSettings(80 + n, 1.0, n, top_k=n % 3)) for n in range(8)]

    async def work(engine):
        model = await engine.load("char")
        return await asyncio.gather(*(whole(engine.write(model, TextRequest(*order, logprobs=1))) for order in orders))

    model = load(folder / "char.npz", device="cpu")
    for (prompt, config), (text, tokens, _) in zip(orders, run(folder, work, device="cpu"), strict=True):
        (expected,) = Writing(model, [prompt], config).all()
        assert text == expected.text
        nats = log_probabilities(model, expected.prompt_ids, expected.ids)
        np.testing.assert_allclose([token.logprob for token in tokens], nats, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_rounded_weights_write_what_the_library_writes(folder, precision):
    async def work(engine):
        return (await written(engine, "char", "gab ", length=60, temperature=1.0, seed=5))[0]

    file = weights_file.load(folder / "char.npz")
    model = generation_model(file, registry.load("reference"), precision=precision)
    expected = model.generate("gab ", length=60, temperature=1.0, seed=5)
    assert run(folder, work, device="reference", precision=precision) == expected


def test_a_seed_s_numbers_are_those_of_several_samples(folder):
    async def work(engine):
        texts = [written(engine, "char", "ab", number=n, length=60, temperature=1.0, seed=7) for n in range(3)]
        return [text for text, *_ in await asyncio.gather(*texts)]

    found = run(folder, work)
    assert len(set(found)) == 3
    assert found == [alone(folder, "char", "ab", SamplingSettings(60, 1.0, 7), n).text for n in range(3)]


def test_a_stop_ends_a_text_before_it(folder):
    usual = alone(folder, "char", "ab", SamplingSettings(200, 1.0, 2)).text
    stop = usual[90:93]

    async def work(engine):
        return await written(engine, "char", "ab", length=200, temperature=1.0, seed=2, stop=(stop,), logprobs=0)

    text, tokens, finish, usage = run(folder, work)
    assert finish == "stop"
    assert text == usual[: usual.index(stop)]
    assert "".join(token.text for token in tokens) == text
    assert usage.completion_tokens == len(tokens) == len(text)


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("name", VOCABS)
def test_log_probabilities_are_those_of_the_network(folder, name, echo):
    prompt = {"char": "ab cab", "byte": "né", "word": "cat dog"}[name]

    async def work(engine):
        how = {"length": 30, "temperature": 0.4, "top_k": 4, "seed": 3}
        others = [written(engine, name, length=25, temperature=1.0, seed=n) for n in range(3)]
        return (await asyncio.gather(written(engine, name, prompt, **how, logprobs=3, echo=echo), *others))[0]

    text, tokens, _, usage = run(folder, work)
    expected = alone(folder, name, prompt, SamplingSettings(30, 0.4, 3, top_k=4))
    model = load(folder / f"{name}.npz", device="reference")
    ids = np.concatenate([expected.prompt_ids, expected.ids]) if echo else expected.ids
    nats = log_probabilities(model, expected.prompt_ids[: 0 if echo else None], ids)
    if name == "word":  # <unk> is never generated: its probability is 0
        logits, _ = model.logits(np.array([model.vocab.start_id, *expected.prompt_ids, *expected.ids[:-1]])[:, None])
        rows = np.exp(logits[:, 0, 1:].astype(float))
        whole_ids = np.concatenate([expected.prompt_ids, expected.ids]).astype(int)
        nats = np.log(rows / rows.sum(axis=1, keepdims=True))[np.arange(len(whole_ids)), whole_ids - 1][-len(ids) :]
    assert usage.completion_tokens == 30
    found = [token.logprob for token in tokens]
    assert len(found) == len(ids)
    assert found[:1] == [None] if echo else True
    np.testing.assert_allclose(found[echo:], nats[echo:], rtol=1e-5, atol=1e-6)
    said = expected.start * echo + expected.text
    assert len(text) == len(said)
    assert "".join(token.text for token in tokens) == text
    assert [token.offset for token in tokens] == np.cumsum([0, *(len(token.text) for token in tokens)])[:-1].tolist()
    for token in tokens[echo:]:
        logprobs = [nats for _, nats in token.top]
        assert len(logprobs) == 3
        assert logprobs == sorted(logprobs, reverse=True)
        assert token.logprob <= logprobs[0]
        if token.logprob == logprobs[0] and name != "byte":
            assert token.top[0][0] == token.text


def test_nothing_to_write_and_echo(folder):
    async def work(engine):
        told = await written(engine, "char", "ab", length=0, logprobs=1, echo=True)
        return told, await written(engine, "char", "ab", length=0), await written(engine, "char", "", length=0)

    (text, tokens, finish, _), second, third = run(folder, work)
    assert (text, finish, [token.text for token in tokens]) == ("ab", "length", ["a", "b"])
    assert second == ("", [], "length", (2, 0))
    assert third == ("", [], "length", (0, 0))


def test_texts_that_are_cancelled_leave_the_others_alone(folder):
    expected = [alone(folder, "char", "ab", SamplingSettings(400, 1.0, seed)).text for seed in range(3)]

    async def work(engine):
        model = await engine.load("char")
        kept = [engine.write(model, TextRequest("ab", SamplingSettings(400, 1.0, seed))) for seed in range(3)]
        rng = np.random.default_rng(0)
        tasks = [asyncio.create_task(whole(stream)) for stream in kept]
        for n in range(20):
            dropped = engine.write(
                model, TextRequest("gab" * n, SamplingSettings(4000, 1.0, n), logprobs=n % 2 or None)
            )
            if n % 3:
                await anext(dropped)
            await asyncio.sleep(rng.random() * 0.01)
            dropped.cancel()
            dropped.cancel()
        texts = [text for text, _, _ in await asyncio.gather(*tasks)]
        while engine.running:
            await asyncio.sleep(0.001)
        return texts, model.texts, len(model.batch), engine._desks

    assert run(folder, work) == (expected, 0, 0, {})


def test_who_waits_for_a_text_that_is_cancelled_is_told_that_it_ended(folder):
    async def work(engine):
        stream = engine.write(await engine.load("char"), TextRequest("ab", SamplingSettings(4000, 1.0)))
        pieces = []

        async def read():
            async for piece in stream:
                pieces.append(piece)

        reading = asyncio.create_task(read())
        while not pieces:
            await asyncio.sleep(0.001)
        stream.cancel()
        await asyncio.wait_for(reading, 5)
        return pieces

    pieces = run(folder, work)
    assert len("".join(piece.text for piece in pieces)) < 4000
    assert [piece.finish for piece in pieces] == [""] * len(pieces)


def test_a_long_prompt_does_not_hold_up_others(folder):
    async def work(engine):
        model = await engine.load("char")
        slow = engine.write(model, TextRequest("gab " * 600, SamplingSettings(5, 1.0)))
        text, _, _ = await whole(engine.write(model, TextRequest("ab", SamplingSettings(100, 1.0))))
        waiting = slow.usage.completion_tokens == 0
        return waiting, text, await whole(slow)

    waiting, text, slow = run(folder, work)
    assert waiting
    assert text == alone(folder, "char", "ab", SamplingSettings(100, 1.0)).text
    assert slow[0] == alone(folder, "char", "gab " * 600, SamplingSettings(5, 1.0)).text


def test_a_client_that_does_not_read_gets_one_piece_and_is_told_once(folder):
    async def work(engine):
        stream = engine.write(await engine.load("char"), TextRequest("ab", SamplingSettings(1000, 1.0)))
        while engine.running:
            await asyncio.sleep(0.01)
        return [piece async for piece in stream]

    (piece,) = run(folder, work)
    assert len(piece.text) == 1000
    assert piece.finish == "length"


def refused(call):
    with pytest.raises(Refusal) as found:
        call()
    return found.value


def test_limits_have_their_own_refusals(folder):
    async def work(engine):
        model = await engine.load("char")
        streams = [engine.write(model, TextRequest("ab", SamplingSettings(100))) for _ in range(2)]
        many = refused(lambda: engine.write(model, TextRequest("ab", SamplingSettings(100))))
        for stream in streams:
            stream.cancel()
        while engine.running:
            await asyncio.sleep(0.001)
        return [
            many,
            refused(lambda: engine.write(model, TextRequest("ab" * 51, SamplingSettings(5)))),
            refused(lambda: engine.write(model, TextRequest("ab", SamplingSettings(101)))),
            refused(lambda: engine.write(model, TextRequest("aXbé", SamplingSettings(5)))),
        ]

    found = run(folder, work, max_texts=2, max_prompt=100, max_tokens=100)
    assert [(each.status, each.code) for each in found] == [
        (429, "too_many_texts"),
        (400, "prompt_too_long"),
        (400, "max_tokens_too_long"),
        (400, "invalid_prompt"),
    ]
    assert found[0].retry_after
    assert "102 characters; expected at most 100" in found[1].message
    assert "'X'" in found[3].message
    assert "--" not in found[3].message


def test_a_text_after_which_nothing_may_follow_ends_alone(folder):
    async def work(engine):
        good = written(engine, "char", "ab", length=300, temperature=1.0, seed=1)
        bad = written(engine, "char", "ab", length=300, ban=tuple(SYMBOLS))
        return await asyncio.gather(good, bad, return_exceptions=True)

    good, bad = run(folder, work)
    assert good[0] == alone(folder, "char", "ab", SamplingSettings(300, 1.0, 1)).text
    assert (bad.status, bad.code) == (400, "nothing_may_follow")


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("/secret/place broke"), 500), (MemoryError(), 503)])
def test_a_turn_that_fails_ends_its_texts_and_nothing_else(folder, error, status, capsys):
    async def work(engine):
        model, other = await engine.load("char"), await engine.load("word")
        draw, model.batch.model.draw = model.batch.model.draw, lambda *args: (_ for _ in ()).throw(error)
        texts = [engine.write(model, TextRequest("ab", SamplingSettings(200, 1.0))) for _ in range(2)]
        fine = engine.write(other, TextRequest("cat", SamplingSettings(200, 1.0)))
        found = await asyncio.gather(*(whole(each) for each in (*texts, fine)), return_exceptions=True)
        model.batch.model.draw = draw
        return found, await written(engine, "char", "ab", length=200, temperature=1.0), engine.running

    (*failed, fine), again, left = run(folder, work)
    assert [each.status for each in failed] == [status, status]
    assert not any("secret" in each.message for each in failed)
    assert ("secret" in capsys.readouterr().err) == (status == 500)
    assert fine[0] == alone(folder, "word", "cat", SamplingSettings(200, 1.0)).text
    assert again[0] == alone(folder, "char", "ab", SamplingSettings(200, 1.0)).text
    assert left == 0


def test_a_text_that_takes_too_long_ends_with_what_there_is(folder):
    async def work(engine):
        stream = engine.write(await engine.load("char"), TextRequest("ab", SamplingSettings(10**6, 1.0)))
        text = ""
        try:
            async for piece in stream:
                text += piece.text
        except Refusal as refusal:
            return text, refusal, engine.running

    text, refusal, left = run(folder, work, max_seconds=0.3, max_tokens=10**6)
    assert len(text) > 10
    assert text == alone(folder, "char", "ab", SamplingSettings(len(text), 1.0)).text
    assert (refusal.status, refusal.code, left) == (503, "time_limit", 0)
    assert "0.3 seconds" in refusal.message


def test_closing_ends_all_texts_and_an_engine_can_begin_again(folder):
    async def work(engine):
        model = await engine.load("char")
        stream = engine.write(model, TextRequest("ab", SamplingSettings(4000, 1.0)))
        await anext(stream)
        engine.close()
        with pytest.raises(Refusal) as found:
            await whole(stream)
        refusal = refused(lambda: engine.write(model, TextRequest("ab", SamplingSettings(5))))
        engine.start()
        return found.value.status, refusal.status, await written(engine, "char", "ab", length=50, temperature=1.0)

    *statuses, again = run(folder, work)
    assert statuses == [503, 503]
    assert again[0] == alone(folder, "char", "ab", SamplingSettings(50, 1.0)).text


def test_an_engine_that_was_closed_in_the_middle_works_in_another_loop(folder):
    engine = Engine(Settings(models=folder, device="reference"), lambda name: folder / f"{name}.npz")

    async def one(length, wait):
        engine.start()
        stream = engine.write(await engine.load("char"), TextRequest("ab", SamplingSettings(length, 1.0)))
        await anext(stream)
        text = await whole(stream) if wait else ""
        engine.close()
        return text, engine.running

    for _ in range(5):
        assert asyncio.run(one(4000, wait=False))[1] == 0
    (model,) = engine.memory.models
    assert (model.texts, len(model.batch)) == (0, 0)
    assert asyncio.run(one(200, wait=True))[0]


def test_tokens_are_counted_and_nobody_is_starved(folder):
    """60 texts that start together progress evenly: none lags far behind when the first is complete."""

    async def work(engine):
        counted = []
        engine.on_tokens = counted.append
        model = await engine.load("char")
        streams = [engine.write(model, TextRequest("ab", SamplingSettings(300, 1.0, n))) for n in range(60)]
        await asyncio.wait([asyncio.create_task(whole(each)) for each in streams], return_when="FIRST_COMPLETED")
        far = [each.usage.completion_tokens for each in streams]
        while engine.running:
            await asyncio.sleep(0.005)
        return sum(counted), min(far), threading.active_count()

    total, least, _ = run(folder, work)
    assert total == 60 * 300
    assert least >= 250

"""The engine: texts of many clients side by side, each what it would be alone, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time

import numpy as np
import pytest

from numlstm import params, weights
from numlstm.config import ModelConfig, SampleConfig
from numlstm.generate import Writing
from numlstm.likelihood import log_probabilities
from numlstm.model import load
from numlstm.serve.engine import Engine, Wanted
from numlstm.serve.refusals import Refusal
from numlstm.serve.settings import Settings
from numlstm.text.byte_vocab import ByteVocab
from numlstm.text.char_vocab import CharVocab
from numlstm.text.word_vocab import WordVocab

SYMBOLS = "\n abcdefgh"
VOCABS = {
    "char": CharVocab(SYMBOLS),
    "byte": ByteVocab(),
    "word": WordVocab(("<unk>", "<eos>", "<join>", "cat", "dog", ",")),
}


def save(path, vocab, layers=(8,), seed=0):
    config = ModelConfig(len(vocab), layers)
    weights.save(path, weights.WeightsFile(config, vocab, params.initialise(config, seed) * 3, {}))


@pytest.fixture
def folder(tmp_path):
    for name, vocab in VOCABS.items():
        save(tmp_path / f"{name}.npz", vocab)
    return tmp_path


@contextlib.asynccontextmanager
async def running(folder, **settings):
    """A started engine on the models of a folder."""

    def find(name):
        if not (folder / f"{name}.npz").exists():
            raise Refusal(404, f"there is no model {name}", "model_not_found")
        return folder / f"{name}.npz"

    engine = Engine(Settings(models=folder, device="reference", **settings), find)
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


async def whole(stream):
    """All of a stream: its text, its tokens, and why it ended."""
    pieces = [piece async for piece in stream]
    assert all(piece.text or piece.tokens or piece.finish for piece in pieces), "a piece of nothing"
    assert [piece.finish for piece in pieces[:-1]] == [""] * (len(pieces) - 1)
    return "".join(piece.text for piece in pieces), sum((piece.tokens for piece in pieces), []), pieces[-1].finish


async def written(engine, name, prompt="", **wanted):
    rest = {key: wanted.pop(key) for key in ("number", "drop_unknown", "logprobs", "echo") if key in wanted}
    stream = engine.write(await engine.load(name), Wanted(prompt, SampleConfig(**wanted), **rest))
    return (*await whole(stream), stream.usage)


def alone(folder, name, prompt, config, number=0):
    """The text as the command line writes it."""
    model = load(folder / f"{name}.npz", device="reference")
    file = dataclasses.replace(model.config, dtype="float64")
    model = type(model)(file, model.flat.astype("float64"), model.backend, vocab=model.vocab)
    with model._known_alone():
        return Writing(model, [prompt] * (number + 1), config).all()[number]


@pytest.mark.parametrize("name", VOCABS)
def test_a_text_is_what_the_command_line_writes_whoever_else_writes(folder, name):
    prompts = {"char": ["", "abc", "gab " * 100], "byte": ["", "né"], "word": ["cat", "", "dog, cat"]}[name]
    orders = [(p, SampleConfig(40 + 9 * n, 0.5 + n / 5, n), n % 3) for n, p in enumerate(prompts * 3)]

    async def main():
        async with running(folder) as engine:

            async def one(n, prompt, config, number):
                await asyncio.sleep(n * 0.003)
                stream = engine.write(await engine.load(name), Wanted(prompt, config, number))
                return *await whole(stream), stream.usage

            return await asyncio.gather(*(one(n, *order) for n, order in enumerate(orders)))

    for (text, tokens, finish, usage), (prompt, config, number) in zip(asyncio.run(main()), orders, strict=True):
        expected = alone(folder, name, prompt, config, number)
        assert text == expected.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") or name == "byte"
        if name == "byte":
            assert text == "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in expected.text)
        assert (tokens, finish) == ([], "length")
        assert usage == (len(expected.prompt_ids), len(expected.ids)) == (len(expected.prompt_ids), config.length)

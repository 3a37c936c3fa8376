"""OpenAI's official client works unchanged against this server."""

from __future__ import annotations

import itertools
import math

import pytest

from numlstm.backends import registry
from numlstm.generation.writing import generate_many
from numlstm.model import generation_model
from numlstm.network import weights_file
from numlstm.settings.sampling import SamplingSettings


@pytest.fixture(scope="module")
def openai():
    """Import the client's package here, not at the top: the import takes two seconds."""
    return pytest.importorskip("openai")


@pytest.fixture(scope="module")
def ai(openai, server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def alone(server, prompt="The ", number=0, **settings):
    """Generate a text with the library, without a server."""
    model = generation_model(weights_file.load(server.folder / "tiny.npz"), registry.load("reference"))
    return generate_many(model, [prompt] * (number + 1), SamplingSettings(**settings))[number]


class TestModels:
    def test_are_listed(self, ai):
        models = {model.id: model for model in ai.models.list()}
        assert next(iter(models)) == "tiny"
        assert {"tiny", "shakespeare", "python"} <= {*models}
        assert models["tiny"].owned_by == "user"
        assert models["shakespeare"].owned_by == "numlstm"

    def test_are_retrieved(self, ai):
        model = ai.models.retrieve("tiny")
        assert (model.id, model.object) == ("tiny", "model")
        assert model.vocabulary > 20  # our extra field passes through the client

    def test_an_unknown_one_is_not_found(self, ai, openai):
        with pytest.raises(openai.NotFoundError, match="there is no model 'nothing'"):
            ai.models.retrieve("nothing")


class TestTexts:
    def test_of_a_seed(self, ai, server):
        found = ai.completions.create(model="tiny", prompt="The ", max_tokens=40, temperature=0.7, seed=3)
        assert found.object == "text_completion"
        assert found.choices[0].text == alone(server, length=40, temperature=0.7, seed=3)
        assert found.choices[0].finish_reason == "length"
        assert found.usage.to_dict() == {"prompt_tokens": 4, "completion_tokens": 40, "total_tokens": 44}

    def test_have_the_length_and_temperature_of_the_api_if_none_is_given(self, ai, server):
        found = ai.completions.create(model="tiny", prompt="The ", seed=3)
        assert found.choices[0].text == alone(server, length=16, temperature=1.0, seed=3)

    def test_tell_the_seed_that_gives_them_again(self, ai):
        first = ai.completions.create(model="tiny", prompt="The ")
        again = ai.completions.create(model="tiny", prompt="The ", seed=first.seed)
        assert again.choices[0].text == first.choices[0].text
        assert again.system_fingerprint == first.system_fingerprint
        assert first.id != again.id

    def test_differ_without_a_seed(self, ai):
        assert len({ai.completions.create(model="tiny", prompt="The ").seed for _ in range(4)}) == 4

    def test_stream(self, ai, server):
        chunks = [*ai.completions.create(model="tiny", prompt="The ", max_tokens=90, seed=5, stream=True)]
        assert "".join(chunk.choices[0].text for chunk in chunks) == alone(server, length=90, temperature=1.0, seed=5)
        assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "length"
        assert not any(chunk.choices[0].finish_reason for chunk in chunks[:-1])
        assert len({chunk.id for chunk in chunks}) == 1

    def test_stream_with_usage_at_the_end(self, ai):
        *chunks, last = ai.completions.create(
            model="tiny", prompt="The ", stream=True, stream_options={"include_usage": True}
        )
        assert last.choices == []
        assert last.usage.total_tokens == 20
        assert all(chunk.usage is None for chunk in chunks)

    @pytest.mark.parametrize("stream", [False, True])
    def test_end_before_a_stop(self, ai, stream):
        settings = {"model": "tiny", "prompt": "The ", "max_tokens": 200, "temperature": 0.8, "seed": 1}
        free = ai.completions.create(**settings).choices[0].text
        stop = free[20:22]
        answer = ai.completions.create(**settings, stop=[stop, "\0"], stream=stream)
        choices = [each.choices[0] for each in (answer if stream else [answer])]
        assert "".join(choice.text for choice in choices) == free[: free.index(stop)]
        assert choices[-1].finish_reason == "stop"

    @pytest.mark.parametrize("stream", [False, True])
    def test_several_of_one_prompt(self, ai, server, stream):
        answer = ai.completions.create(model="tiny", prompt="The ", n=4, seed=9, max_tokens=30, stream=stream)
        texts = dict.fromkeys(range(4), "")
        for choice in itertools.chain.from_iterable(each.choices for each in (answer if stream else [answer])):
            texts[choice.index] += choice.text
        assert [*texts.values()] == [alone(server, number=n, length=30, temperature=1.0, seed=9) for n in range(4)]
        assert len({*texts.values()}) == 4

    def test_of_several_prompts(self, ai):
        found = ai.completions.create(model="tiny", prompt=["The ", "a"], n=2, max_tokens=5, echo=True)
        assert [choice.index for choice in found.choices] == [0, 1, 2, 3]
        assert [choice.text[:1] for choice in found.choices] == ["T", "T", "a", "a"]
        assert found.usage.prompt_tokens == 5  # each prompt counts once, however many samples it has
        assert found.usage.completion_tokens == 20

    def test_of_tokens(self, ai, server):
        vocab = weights_file.load(server.folder / "tiny.npz").vocab
        ids = [int(token) for token in vocab.encode("The ")]
        one, several = (
            ai.completions.create(model="tiny", prompt=prompt, seed=2).choices[0].text for prompt in (ids, [ids])
        )
        assert one == several == ai.completions.create(model="tiny", prompt="The ", seed=2).choices[0].text

    def test_echo_tells_of_the_prompt_too(self, ai):
        found = ai.completions.create(model="tiny", prompt="The ", echo=True, logprobs=2, max_tokens=3, seed=1)
        choice = found.choices[0]
        assert choice.text.startswith("The ")
        assert "".join(choice.logprobs.tokens) == choice.text
        assert choice.logprobs.text_offset == [*range(7)]
        assert choice.logprobs.token_logprobs[0] is None
        assert all(nats <= 0 for nats in choice.logprobs.token_logprobs[1:])
        drawn = zip(choice.logprobs.tokens, choice.logprobs.token_logprobs, choice.logprobs.top_logprobs, strict=True)
        for token, logprob, top in list(drawn)[1:]:
            assert len(top) >= 2
            assert top.get(token, logprob) == logprob
            assert 0 < sum(map(math.exp, top.values())) <= 1.000001

    def test_log_probabilities_of_a_stream_are_those_of_the_whole(self, ai):
        settings = {"model": "tiny", "prompt": "The ", "logprobs": 3, "max_tokens": 30, "seed": 4}
        whole = ai.completions.create(**settings).choices[0].logprobs
        parts = [chunk.choices[0].logprobs for chunk in ai.completions.create(**settings, stream=True)]
        joined = {
            name: [each for part in parts for each in getattr(part, name)]
            for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")
        }
        assert joined["tokens"] == whole.tokens
        assert joined["text_offset"] == whole.text_offset
        assert joined["token_logprobs"] == pytest.approx(whole.token_logprobs)  # rounded in other chunks
        for found, expected in zip(joined["top_logprobs"], whole.top_logprobs, strict=True):
            assert found == pytest.approx(expected)

    def test_nothing_but_a_prompt(self, ai):
        found = ai.completions.create(model="tiny", prompt="The ", max_tokens=0, echo=True, logprobs=0)
        assert found.choices[0].text == "The "
        assert found.choices[0].logprobs.top_logprobs is None

    def test_our_own_settings(self, ai, server):
        extra = {"top_k": 3, "min_p": 0.05, "repetition_penalty": 1.2}
        found = ai.completions.create(model="tiny", prompt="The ", seed=6, max_tokens=30, extra_body=extra)
        assert found.choices[0].text == alone(server, length=30, temperature=1.0, seed=6, **extra)

    def test_characters_that_the_model_lacks_can_be_left_out(self, ai, openai):
        with pytest.raises(openai.BadRequestError, match=r"does not know '世'.*drop_unknown"):
            ai.completions.create(model="tiny", prompt="The 世")
        dropped = ai.completions.create(model="tiny", prompt="The 世", seed=1, extra_body={"drop_unknown": True})
        assert dropped.choices[0].text == ai.completions.create(model="tiny", prompt="The ", seed=1).choices[0].text

    def test_neutral_settings_are_let_through(self, ai):
        neutral = {"best_of": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "suffix": None}
        assert ai.completions.create(model="tiny", prompt=None, user="me", stop=None, **neutral).choices


class TestErrors:
    @pytest.mark.parametrize(
        ("settings", "param"),
        [
            ({"max_tokens": 4097}, "max_tokens"),
            ({"max_tokens": -1}, "max_tokens"),
            ({"max_tokens": "10"}, "max_tokens"),
            ({"temperature": 2.5}, "temperature"),
            ({"temperature": True}, "temperature"),
            ({"top_p": 0}, "top_p"),
            ({"n": 0}, "n"),
            ({"n": 128, "prompt": ["a", "a", "a"]}, "n"),
            ({"seed": -1}, "seed"),
            ({"logprobs": 6}, "logprobs"),
            ({"stop": ""}, "stop"),
            ({"stop": ["a"] * 17}, "stop"),
            ({"prompt": 5}, "prompt"),
            ({"prompt": []}, "prompt"),
            ({"prompt": [9999]}, "prompt"),
            ({"prompt": "T" * 32769}, "prompt"),
            ({"best_of": 2}, "best_of"),
            ({"frequency_penalty": 0.5}, "frequency_penalty"),
            ({"presence_penalty": -0.5}, "presence_penalty"),
            ({"logit_bias": {"5": 1}}, "logit_bias"),
            ({"suffix": "end"}, "suffix"),
            ({"stream_options": {"include_usage": True}}, "stream_options"),
            ({"extra_body": {"tempreature": 1}}, "tempreature"),
            ({"extra_body": {"top_k": 1.5}}, "top_k"),
            ({"model": ""}, "model"),
        ],
    )
    def test_name_the_setting_that_is_wrong(self, ai, openai, settings, param):
        with pytest.raises(openai.BadRequestError) as caught:
            ai.completions.create(**{"model": "tiny", "prompt": "T", **settings})
        assert caught.value.param == param
        assert param in caught.value.body["message"] or param in ("stream_options", "n")
        assert caught.value.type == "invalid_request_error"

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_unknown_model_is_not_found(self, ai, openai, stream):
        with pytest.raises(openai.NotFoundError) as caught:
            ai.completions.create(model="nothing", prompt="a", stream=stream)
        assert caught.value.code == "model_not_found"

    def test_a_wrong_key(self, serve, openai):
        server = serve(api_key="right")
        with (
            openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as client,
            pytest.raises(openai.AuthenticationError, match="key is missing or wrong"),
        ):
            client.models.list()
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="right", max_retries=0) as client:
            assert client.completions.create(model="tiny", prompt="The ").choices

    def test_in_the_middle_of_a_stream(self, serve, openai):
        server = serve(max_seconds=0.01, max_tokens=1_000_000)
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            stream = client.completions.create(model="tiny", prompt="The ", max_tokens=1_000_000, stream=True)
            with pytest.raises(openai.APIError, match="not finished within"):
                list(stream)

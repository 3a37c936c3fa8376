"""Clients of the earlier text server, which send query strings and read JSON, get the answers they expect."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest


def ask(server, **query):
    """Send a request as the earlier server's clients do; return the JSON, which has the key `generated`."""
    with urllib.request.urlopen(f"{server.url}/?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        return json.load(answer)


def refused(server, **query):
    """Send a request that must be refused; return the status and the JSON."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(server, **query)
    with caught.value as error:
        return error.status, json.load(error)


def test_the_health_probe(server):
    assert ask(server, inputText="test") == {"generated": "The test returned correctly!"}


def test_a_text_has_forty_tokens(server):
    assert len(ask(server, inputText="The bridge")["generated"]) == 40


def test_the_length_and_the_model_are_as_asked(server):
    assert len(ask(server, inputText="ROMEO: ", model="shakespeare", outputLength=7)["generated"]) == 7


def test_a_seed_gives_a_text_again(server):
    first, again = (ask(server, inputText="The ", model="tiny", seed=5, temperature=0.5) for _ in range(2))
    assert first == again


def test_the_text_is_that_of_the_same_seed_in_the_other_api(server):
    body = {"model": "tiny", "prompt": "The ", "max_tokens": 40, "temperature": 0.75, "seed": 5}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/v1/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = json.load(answer)["choices"][0]["text"]
    assert ask(server, inputText="The ", model="tiny", seed=5)["generated"] == text


def test_what_others_asked_has_no_say(server):
    """The earlier server continued the previous client's text if a prompt was too short."""
    settings = {"model": "tiny", "seed": 1, "temperature": 0.3}
    before = ask(server, inputText="b", **settings)
    ask(server, inputText="The baker was late again, and said so! " * 3, **settings)
    assert ask(server, inputText="b", **settings) == before


def test_characters_that_the_model_lacks_are_left_out(server):
    settings = {"model": "tiny", "seed": 1}
    assert ask(server, inputText="Thé 世e ", **settings) == ask(server, inputText="Th e ", **settings)


def test_what_meant_nothing_means_nothing(server):
    assert ask(server, inputText="test", spellcheck=0)["generated"]


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ({"model": "tiny"}, 400, "inputText"),
        ({"inputText": ""}, 400, "inputText"),
        ({"inputText": "a" * 32769}, 400, "inputText"),
        ({"inputText": "a", "model": "narnia"}, 404, "model"),
        ({"inputText": "a", "model": "../tiny"}, 404, "model"),
        ({"inputText": "a", "outputLength": 0}, 400, "outputLength"),
        ({"inputText": "a", "outputLength": "many"}, 400, "outputLength"),
        ({"inputText": "a", "outputLength": 4097}, 400, "outputLength"),
        ({"inputText": "a", "temperature": "nan"}, 400, "temperature"),
        ({"inputText": "a", "seed": -1}, 400, "seed"),
    ],
)
def test_errors_have_a_status_and_no_text(server, query, status, param):
    found, body = refused(server, **query)
    assert found == status
    assert body["generated"] is None
    assert body["error"]["param"] == param
    assert param in body["error"]["message"]


def test_without_a_question_it_is_the_page(server):
    with urllib.request.urlopen(server.url, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        page = answer.read().decode()
    assert "<html" in page
    assert 'src="/' not in page  # would break below a proxy's path prefix
    assert 'href="/' not in page

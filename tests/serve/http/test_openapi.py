"""The API conforms to its description in `GET /openapi.json`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def description(shared):
    return shared.get("/openapi.json").json()


def test_says_what_it_is(description):
    import numlstm

    assert description["info"]["title"] == "numlstm"
    assert description["info"]["version"] == numlstm.__version__
    assert description["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}


def test_every_refusal_has_one_form(description):
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"]
            assert operation["description"], (method, path)
            refusals = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
            assert {"400", "401", "403", "413", "429", "500"} <= {*refusals}
            for answer in refusals.values():
                assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
    assert "HTTPValidationError" not in json.dumps(description)


def test_the_limits_are_those_of_the_server(inside):
    client = inside(max_tokens=77, max_texts=5, max_prompt=99)
    found = client.get("/openapi.json").json()
    shape = found["components"]["schemas"]["CompletionRequest"]
    assert shape["properties"]["max_tokens"]["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": 77}
    assert shape["properties"]["prompt"]["anyOf"][2]["maxItems"] == 99
    assert shape["additionalProperties"] is False
    assert client.post("/v1/completions", json={"model": "tiny", "max_tokens": 78}).status_code == 400


def test_a_key_is_described_as_needed_where_it_is(inside):
    found = inside(api_key="k").get("/openapi.json").json()["paths"]
    assert found["/v1/completions"]["post"]["security"] == [{"key": []}]
    assert "security" not in found["/health"]["get"]


@pytest.mark.slow
def test_nothing_breaks_it(serve_process, description, tmp_path):
    """Schemathesis sends requests that the description allows, and requests that it forbids."""
    pytest.importorskip("schemathesis")
    server = serve_process(
        "--max-jobs", "2", "--max-tokens", "30", "--max-prompt", "100", "--max-texts", "8", "--api-key", "k"
    )
    count = sum(len(operations) for operations in description["paths"].values())
    # A request that fits the schema may still be invalid: a file's bytes, a name in another script, a character.
    left_out = "positive_data_acceptance"
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "-H", "Authorization: Bearer k",
         "--phases", "coverage,fuzzing", "-n", "6", "--seed", "7", "--generation-deterministic", "--no-color",
         "--exclude-checks", left_out, "--continue-on-failure"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        timeout=300,
    )  # fmt: skip
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-6000:]
    assert f"Tested: {count}" in said, said[-6000:]

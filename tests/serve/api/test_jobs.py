"""Training jobs over HTTP, from the upload to the model, which is bit-identical to one trained on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from numlstm.monitoring import run_log
from tests.serve.training import ENDED, TEXT, TINY, Client, contents, take_time, train

STEPS = 100  # more than an epoch


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an uninterrupted run on the command line."""
    folder = tmp_path_factory.mktemp("whole")
    train(folder, "whole.npz", steps=STEPS)
    return folder


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Slow training down; call `undo` on the yielded object to restore full speed."""
    with monkeypatch.context() as patched:
        take_time(patched)
        yield patched


@pytest.fixture
def client(serve: Callable[..., Any]) -> Iterator[Client]:
    """Yield a client of a server used by this test only."""
    with (found := Client(serve().url)).http:
        yield found


def moving(job: dict[str, Any], before: int = 0) -> bool:
    return job["state"] in ENDED or (job["step"] or 0) > before + 5


def test_a_life(client: Client, models: Path, whole: Path) -> None:
    sent = client.ask("PUT", "/v1/corpora/mine", 201, content=TEXT.encode())
    assert (sent["id"], sent["source"], sent["bytes"]) == ("mine", "upload", len(TEXT))
    assert sent in client.ask("GET", "/v1/corpora")["data"]
    id_ = client.create("new", corpus="mine", steps=STEPS)
    events = list(client.events(id_))
    kinds = [kind for _, kind, _ in events]
    assert kinds[0] == "state"
    assert next(kind for kind in kinds if kind != "state") == "start"
    assert kinds[-2:] == ["end", "state"]
    assert [data["step"] for _, kind, data in events if kind == "step"] == list(range(1, STEPS + 1))
    assert {"epoch", "sample", "gates"} <= {*kinds}
    states = [data["state"] for _, kind, data in events if kind == "state"]
    assert list(dict.fromkeys(states)) in (["waiting", "running", "done"], ["running", "done"])
    assert [data for number, _, data in events if number] == run_log.read(models / "jobs" / id_ / "run.jsonl")

    job = events[-1][2]
    assert job == client.job(id_) == client.ask("GET", "/v1/jobs")["data"][0]
    assert (job["state"], job["step"], job["steps"], job["error"]) == ("done", STEPS, STEPS, None)
    assert job["created"] <= job["started"] <= job["ended"]
    assert job["val_loss"] == events[-3][2].get("val_loss", job["val_loss"])
    assert contents(models / "new.npz") == contents(whole / "whole.npz")
    model = client.ask("GET", "/v1/models/new")
    assert (model["resumable"], model["problem"], model["layers"]) == (True, None, [12, 9])
    assert str(models).encode() not in (models / "new.npz").read_bytes(), "reveals a path to clients"
    text = client.ask("POST", "/v1/completions", json={"model": "new", "prompt": "class", "max_tokens": 3})
    assert text["usage"]["completion_tokens"] == 3

    half = len(events) // 2
    number = max(each for each, _, _ in events[:half] if each)
    rest = [event for event in events[half:] if event[1] != "state"]
    for found in (client.events(id_, number), client.events(id_, last=str(number)), client.events(id_, number - 1)):
        assert [event for event in found if event[1] != "state"] == rest


def test_one_runs_and_others_wait_in_the_order_in_which_they_came(client: Client, slowly: Any) -> None:
    first, *others = (client.create(name, steps=100_000) for name in "abcd")
    client.until(first, lambda job: job["state"] == "running")
    assert [client.job(id_)["place"] for id_ in (first, *others)] == [None, 1, 2, 3]
    assert client.ask("POST", f"/v1/jobs/{others[1]}/stop")["state"] == "stopped"
    assert client.ask("POST", f"/v1/jobs/{others[1]}/resume")["place"] == 3, "a stopped job loses its place"
    assert [client.job(id_)["place"] for id_ in others] == [1, 3, 2]
    assert client.ask("POST", f"/v1/jobs/{first}/stop")["state"] in ("stopping", "stopped")
    assert client.ended(first)["state"] == "stopped"
    client.until(others[0], lambda job: job["state"] == "running")
    assert [client.job(id_)["place"] for id_ in others] == [None, 2, 1]
    assert [job["id"] for job in client.ask("GET", "/v1/jobs")["data"]] == [*others[::-1], first]
    client.ask("POST", f"/v1/jobs/{others[0]}/stop")


@pytest.mark.parametrize("stops", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_stopped_and_gone_on_with_is_as_never_stopped(
    client: Client, models: Path, whole: Path, slowly: pytest.MonkeyPatch, stops: int
) -> None:
    id_ = client.create("new", steps=STEPS)
    for stop in range(stops):
        before = client.job(id_)["step"] or 0
        client.until(id_, lambda job, before=before: moving(job, before))
        assert client.ask("POST", f"/v1/jobs/{id_}/stop")["state"] in ("stopping", "stopped")
        job = client.ended(id_)
        assert job["state"] == "stopped", job
        assert before < job["step"] < STEPS
        assert job["seconds_left"] is None
        if stop == stops - 1:
            slowly.undo()
        assert client.ask("POST", f"/v1/jobs/{id_}/resume", json={})["state"] == "waiting"
    assert client.ended(id_)["state"] == "done"
    assert contents(models / "new.npz") == contents(whole / "whole.npz")
    starts = [data["step"] for _, kind, data in client.events(id_) if kind == "start"]
    assert starts[0] == 0
    assert starts == sorted({*starts})
    assert len(starts) == stops + 1


@pytest.mark.slow
def test_more_and_other_options_when_it_goes_on(client: Client) -> None:
    id_ = client.create("new", steps=20, lr=0.005, save_every="7steps")
    assert client.ended(id_)["state"] == "done"
    path = f"/v1/jobs/{id_}/resume"
    error = client.refused("POST", path, 400, json={"options": {"layers": "13"}})
    assert error["param"] == "options.layers"
    changed = client.ask("POST", path, json={"options": {"epochs": 1, "lr": None, "dropout": 0.1}})
    assert changed["options"] == {**TINY, "epochs": 1, "dropout": 0.1, "save_every": "7steps"}
    job = client.ended(id_)
    assert (job["state"], job["step"], job["epochs"]) == ("done", 85, 1)
    again = client.ask("POST", path, json={"options": {"steps": 90}})
    assert "epochs" not in again["options"]
    assert client.ended(id_)["step"] == 90


def test_deleting(client: Client, models: Path, slowly: Any) -> None:
    client.ask("PUT", "/v1/corpora/mine", 201, content=TEXT.encode())
    id_ = client.create("new", corpus="mine", steps=100_000, save_every="1steps")
    client.until(id_, lambda job: moving(job) and (models / "new.npz").exists())
    for method in ("DELETE", "PUT"):
        said = client.refused(method, "/v1/corpora/mine?overwrite=true", 409, content=b"another")["message"]
        assert id_ in said
    assert client.refused("DELETE", "/v1/models/new", 409)["code"] == "model_busy"
    assert client.refused("PUT", "/v1/models/new/file?overwrite=true", 409, content=b"x")["code"] == "model_busy"
    assert client.ask("DELETE", f"/v1/jobs/{id_}") == {"id": id_, "object": "training.job", "deleted": True}
    client.refused("GET", f"/v1/jobs/{id_}", 404)
    assert not (models / "jobs" / id_).exists()
    assert client.ask("GET", "/v1/models/new")["resumable"]
    assert client.ask("DELETE", "/v1/corpora/mine")["deleted"]
    assert not list(models.glob("texts/*"))

    id_ = client.create("newer", steps=100_000, save_every="1steps")
    client.until(id_, lambda job: moving(job) and (models / "newer.npz").exists())
    client.ask("DELETE", f"/v1/jobs/{id_}", params={"model": "true"})
    client.refused("GET", "/v1/models/newer", 404)
    assert sorted(path.name for path in models.iterdir()) == ["jobs", "new.npz", "texts", "tiny.npz"]


@pytest.mark.slow
def test_deleting_at_the_same_time(client: Client, slowly: Any) -> None:
    """Of several concurrent deletions exactly one succeeds, and a deleted job cannot be resumed."""
    for name in "abc":
        id_ = client.create(name, steps=100_000)
        client.until(id_, moving)
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(client.http.delete, f"/v1/jobs/{id_}") for _ in range(3)]
            again = pool.submit(client.http.post, f"/v1/jobs/{id_}/resume").result()
            assert sorted(answer.result().status_code for answer in answers) == [200, 404, 404]
        assert again.status_code in (404, 409)
    assert client.ask("GET", "/v1/jobs")["data"] == []


def test_names_that_are_taken(client: Client, slowly: Any) -> None:
    client.create("busy", steps=100_000)
    wanted = {"text": TEXT, "options": {**TINY, "steps": 1}}

    def refusal(model: str, **more: Any) -> str:
        return str(client.refused("POST", "/v1/jobs", 409, json={"model": model, **wanted, **more})["code"])

    assert refusal("busy", overwrite=True) == refusal("BUSY") == "model_busy"
    assert refusal("shakespeare", overwrite=True) == "model_exists", "a shipped model cannot be overwritten"
    assert refusal("tiny") == "model_exists"


@pytest.mark.slow
def test_a_model_that_is_replaced(client: Client, models: Path, slowly: Any) -> None:
    busy = client.create("busy", steps=100_000)
    wanted = {"text": TEXT, "options": {**TINY, "steps": 1}}
    before = (models / "tiny.npz").read_bytes()
    job = client.ask("POST", "/v1/jobs", 201, json={"model": "tiny", **wanted, "overwrite": True})
    assert (models / "tiny.npz").read_bytes() == before, "kept until the job saves for the first time"
    client.ask("POST", f"/v1/jobs/{busy}/stop")
    assert client.ended(job["id"])["state"] == "done"
    assert (models / "tiny.npz").read_bytes() != before

    later = client.ask("POST", "/v1/jobs", 201, json={"model": "tiny", **wanted, "overwrite": True})
    assert client.ended(later["id"])["state"] == "done"
    assert client.refused("POST", f"/v1/jobs/{job['id']}/resume", 409)["code"] == "model_busy"
    assert client.refused("DELETE", f"/v1/jobs/{job['id']}?model=true", 409)["code"] == "in_use"
    client.ask("DELETE", f"/v1/jobs/{job['id']}")
    client.ask("DELETE", f"/v1/jobs/{later['id']}?model=true")
    assert not (models / "tiny.npz").exists()


WILD = {"lr": 1e40, "optimizer": "sgd", "clip": 0, "schedule": "constant", "warmup_steps": 0}


@pytest.mark.parametrize(
    ("options", "said", "can_be_mended"),
    [
        ({"batch_size": 100_000}, "the text has 5400 tokens, too few for 100000 parallel streams", True),
        pytest.param(WILD, "at step 2 the loss is nan", True, marks=pytest.mark.slow),
        pytest.param(
            {"prompt": "\u0436"}, "`prompt` has characters that the text lacks: '\u0436'", False, marks=pytest.mark.slow
        ),
    ],
    ids=["batch_size", "lr", "prompt"],
)
def test_what_goes_wrong_is_told_in_a_line_and_can_be_mended(
    client: Client, models: Path, options: dict[str, Any], said: str, can_be_mended: bool
) -> None:
    id_ = client.create("new", **{"steps": 5, **options})
    job = client.ended(id_)
    assert job["state"] == "failed", job
    assert said in job["error"]
    assert "\n" not in job["error"]
    assert str(models) not in job["error"]
    if can_be_mended:
        mended = {"options": dict.fromkeys(options)}
        assert client.ask("POST", f"/v1/jobs/{id_}/resume", json=mended)["error"] is None
        assert client.ended(id_)["state"] == "done"
    assert (models / "new.npz").exists() == can_be_mended


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("layers", "12,-9", "layers is 12,-9; expected 1 to 64 whole numbers"),
        ("schedule", "a\nb", r"schedule is 'a\nb'; expected constant,"),
        ("dropout", 1.5, "dropout is 1.5; expected a number of at least 0 and less than 1"),
    ],
)
def test_what_is_out_of_range_makes_no_job(client: Client, name: str, value: Any, said: str) -> None:
    error = client.refused("POST", "/v1/jobs", 400, json={"model": "new", "text": TEXT, "options": {name: value}})
    assert error["param"] == f"options.{name}"
    assert said in error["message"]
    assert client.ask("GET", "/v1/jobs")["data"] == []


@pytest.mark.slow
def test_hostile_values_stay_values(client: Client, models: Path, tmp_path: Path) -> None:
    values = [f"--output={tmp_path}/x.npz\n--overwrite", f"-o{tmp_path}/x.npz", "-"]
    ids = [client.create(f"new{n}", text=TEXT + "=/\n".join(values) * 9, prompt=each, steps=2)
           for n, each in enumerate(values)]  # fmt: skip
    assert [client.ended(id_)["state"] for id_ in ids] == ["done"] * len(ids)
    prompts = {event["prompt"] for id_ in ids for _, kind, event in client.events(id_) if kind == "sample"}
    assert prompts == {*values}
    assert not (tmp_path / "x.npz").exists()
    assert len(list(models.glob("*.npz"))) == len(ids) + 1


def test_hostile_names_are_refused(client: Client, models: Path) -> None:
    for text in ("a\0b", "x" * 2001):
        client.refused("POST", "/v1/jobs", 400, json={"model": "n", "text": TEXT, "options": {"prompt": text}})
    for name in ("../x", "/etc/x", "a/b", "C:x", ".x", "-x", "x.", "nul", "a\n", "", "x" * 65, "~", "*"):
        for wanted in ({"model": name, "text": TEXT}, {"model": "new", "corpus": name}):
            client.refused("POST", "/v1/jobs", 400, json=wanted)
    for word in ("http:..x", "jobs", "texts", "tiny.npz"):
        client.refused("POST", "/v1/jobs", 400 if ":" in word else 404, json={"model": "new", "corpus": word})
    for path in ("..%2fx", "%2e%2e", ".hidden", "tales", "x%00y", "-x"):
        answer = client.http.put(f"/v1/corpora/{path}?overwrite=true", content=b"text")
        assert answer.status_code in (400, 404, 405, 409), path
    assert not (models / "texts").exists()


@pytest.mark.slow
def test_a_corpus_that_cannot_be_downloaded(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy"):  # inherited by the worker process
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NUMLSTM_CACHE_DIR", str(tmp_path / "cache"))
    found = {corpus["id"]: corpus for corpus in client.ask("GET", "/v1/corpora")["data"]}
    assert found["tales"]["here"]
    assert not found["alice"]["here"]
    job = client.ended(client.create("new", corpus="alice"))
    assert job["state"] == "failed"
    assert job["error"].startswith("the corpus alice is not downloaded yet")
    assert client.ended(client.create("new", corpus="tales", steps=1))["state"] == "done"

"""What the command line reads and names: durations, epochs, layers, jobs, networks."""

from __future__ import annotations

import dataclasses
import io

import pytest

from numlstm.backends import registry
from numlstm.cli.train.start import network, new_run
from numlstm.errors import ConfigError, WeightsError
from numlstm.settings.amounts import Every, parse_duration, parse_epochs, parse_every
from numlstm.text.dataset.corpus import load_corpus
from numlstm.training.checkpoint import snapshot_path
from numlstm.training.job_name import job_name


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("0.5s", 0.5), (" 1.5 m ", 90)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration("--max-time", text) == seconds
    assert parse_every("--save-every", text) == Every(seconds=seconds)


def test_steps_are_a_distance_between_saves_but_no_duration() -> None:
    assert parse_every("--save-every", "50steps") == Every(steps=50)
    assert parse_every("--save-every", "1 step") == Every(steps=1)
    for text in ("", "5", "s", "0s", "0steps", "-5s", "1e3s", "5 d", "1.5steps", "infs", "nanm"):
        with pytest.raises(ConfigError, match=r"--save-every is .*50steps"):
            parse_every("--save-every", text)
    for text in ("50steps", "", "5", "0m"):
        with pytest.raises(ConfigError, match=r"--max-time is .*15m"):
            parse_duration("--max-time", text)


def test_epochs() -> None:
    assert parse_epochs("--snapshot-epochs", "20, 1,0,5,1") == [0, 1, 5, 20]
    for text in ("", "1,", "-1", "1.5", "x"):
        with pytest.raises(ConfigError, match="--snapshot-epochs"):
            parse_epochs("--snapshot-epochs", text)


@pytest.mark.parametrize(
    ("corpus", "given", "name"),
    [
        (["/books/hamlet.txt"], {}, "hamlet-2x128"),
        (["hamlet.txt.gz"], {"layers": "64"}, "hamlet-1x64"),
        (["a b&c.txt", "two.txt", "three.txt"], {"layers": "64,32"}, "a_b_c+2-4f1b32-64-32"),
        (["books/"], {"level": "byte"}, "books-byte-2x128"),
        (["-"], {}, "stdin-2x128"),
        (["*.md"], {}, "text-ba405b-2x128"),
        (["日本.txt"], {}, "text-0e5c84-2x128"),
        (
            ["jules.txt"],
            {"level": "word", "vocab_size": 5000, "min_count": 2, "pretokenised": True},
            "jules-word-vocab5000-min2-pretokenised-2x128",
        ),
        (
            ["x"],
            {"embedding": 64, "projection": 32, "layer_norm": True, "tie_weights": True},
            "x-2x128-embed64-proj32-norm-tied",
        ),
        (["x"], {"gate_activation": "hard-sigmoid"}, "x-2x128-hard"),
        (["x"], {"seed": 3, "val_split": 0.0}, "x-2x128-seed3-val0"),
        (["x"], {"seed": 0, "val_split": 0.1}, "x-2x128"),
        (["x"], {"gate_activation": "sigmoid", "level": "char", "lr": 0.1, "dropout": 0.5}, "x-2x128"),
    ],
)
def test_a_job_is_named_by_what_shapes_its_weights(corpus: list[str], given: dict[str, object], name: str) -> None:
    assert job_name(corpus, given) == name


def test_a_job_s_name_is_never_too_long_for_a_file() -> None:
    assert len(job_name(["x" * 500], {"layers": ",".join(["1234"] * 64)})) <= 120


def test_jobs_whose_names_do_not_tell_all_have_names_of_their_own() -> None:
    """Else one would go on with the other's run."""
    names = [
        job_name(["x" * 500], {}),
        job_name(["x" * 500], {"layer_norm": True}),
        job_name(["x" * 500], {"layers": "64"}),
        job_name(["日本.txt"], {}),
        job_name(["中国.txt"], {}),
        job_name(["text日本.txt"], {}),
        job_name(["text.txt"], {}),
        job_name(["a.txt", "b.txt"], {}),
        job_name(["a.txt", "c.txt"], {}),
        job_name(["a/*.txt"], {}),
        job_name(["b/*.txt"], {}),
    ]
    assert len(set(names)) == len(names)


def test_snapshots_lie_beside_the_output() -> None:
    assert snapshot_path("runs/a.b/w.npz", 5) == "runs/a.b/w-epoch5.npz"
    assert snapshot_path("weights", 0) == "weights-epoch0"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"layers": (128, 128), "embedding": 0}),
        ({"layers": "5,4"}, {"layers": (5, 4)}),
        ({"embedding": 7, "projection": 3}, {"embedding": 7, "projection": 3, "state_sizes": (3, 3)}),
        (
            {"layer_norm": True, "gate_activation": "hard-sigmoid"},
            {"layer_norm": True, "gate_activation": "hard-sigmoid"},
        ),
        ({"layers": "5,4", "tie_weights": True}, {"embedding": 4, "tie_weights": True}),
        ({"layers": "5,4", "tie_weights": True, "projection": 3}, {"embedding": 3}),
    ],
)
def test_every_option_of_the_network_reaches_it(given: dict[str, object], expected: dict[str, object]) -> None:
    config = network(65, given)
    assert {name: getattr(config, name) for name in expected} == expected


def test_tied_weights_with_another_embedding_are_an_error() -> None:
    with pytest.raises(ConfigError, match="embedding is 9; expected 4"):
        network(65, {"layers": "5,4", "tie_weights": True, "embedding": 9})


def test_more_file_names_than_a_weights_file_has_room_for_are_told_before_training() -> None:
    text = load_corpus(["-"], stdin=io.BytesIO(b"a text of some length\n" * 40))
    given = {"layers": "4", "batch_size": 4, "seq_len": 8}
    assert new_run(text, registry.load("reference"), given).step == 0
    many = dataclasses.replace(text, sources=("/책장/" + "글" * 90,) * 20_000)
    with pytest.raises(WeightsError, match="join many texts into one file"):
        new_run(many, registry.load("reference"), given)

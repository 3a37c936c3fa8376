"""A job is named after the settings that shape its weights."""

from __future__ import annotations

import pytest

from numlstm.settings.commands import checked
from numlstm.training.job_name import job_name


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
    assert job_name(corpus, checked(given)) == name


def test_a_job_s_name_is_never_too_long_for_a_file() -> None:
    assert len(job_name(["x" * 500], {"layers": (1234,) * 64})) <= 120


def test_jobs_whose_names_do_not_tell_all_have_names_of_their_own() -> None:
    """Otherwise one job would resume the other's run."""
    names = [
        job_name(["x" * 500], {}),
        job_name(["x" * 500], {"layer_norm": True}),
        job_name(["x" * 500], {"layers": (64,)}),
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

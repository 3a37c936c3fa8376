"""Each kind of results can be drawn, and gives the same bytes every time."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks import pictures
from benchmarks.measure import spread

drawings = pytest.importorskip("benchmarks.drawings", reason="matplotlib is not installed (the extra `benchmark`)")

ONE = spread([0.5, 0.7, 0.9])
TRAINED = {
    "name": "1x8 B2 T3",
    "contestants": {name: {"share_of_peak": ONE} for name in ("numlstm", "torch tuned")},
    "ratios": {"torch default": ONE, "torch tuned": ONE},
    "ratios_bf16": {},
}
QUALITY = {
    "curve": [{"seconds": 2.0, "val_loss": 1.9}, {"seconds": 4.0, "val_loss": 1.7}],
    "seconds_to": {"1.8": 4.0, "1.6": None},
    "model": {"layers": [8]},
    "corpus": {"name": "text"},
}
DRAWN = {"numlstm, 1 thread": {"characters_per_second": ONE}, "torch, 1 thread": {"characters_per_second": ONE}}
KERNELS = {"lstm_forward, tokens": {"share_of_peak": ONE}, "adam_": {"gb_per_second": ONE}}
NGRAM = {
    "settings": {"level": "word"},
    "files": {"train": "a.txt", "test": "b.txt"},
    "results": [{"order": 1, "perplexity": 99.5}, {"order": 2, "perplexity": 55.0}],
}
SERVED = {"characters_per_second": ONE, "first_ms": {"50": 9.0, "99": 20.5, "100": 30.0}}
DOCUMENTS = {
    "serve": {"runs": {n: {"together": SERVED, "one at a time": SERVED} for n in ("1", "10")}},
    "ngram": NGRAM,
    "train": {
        "settings": {"threads": 2},
        "results": [TRAINED],
        "geometric_means": {"ratios": {"torch default": 1.5, "torch tuned": 1.2}, "ratios_bf16": {}},
    },
    "generate": {"results": [{"name": "1x8, 1 stream", "contestants": DRAWN}]},
    "startup": {"commands": {"numlstm train, nothing compiled": ONE, "numlstm --help": ONE}},
    "quality": {"targets": [1.8, 1.6], "runs": {"cold": QUALITY, "warm": QUALITY}},
    "kernels": {"results": [{"name": "1x8 B2 T3", "device": "cpu", "threads": 1, "kernels": KERNELS}]},
}


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_a_picture(name, tmp_path):
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps({"benchmark": name, **DOCUMENTS[name]}), "utf-8")
    first = pictures.draw(path).read_bytes()
    assert pictures.draw(path).read_bytes() == first
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert b"prefers-color-scheme: dark" in first


def test_who_lacks_pytorch_gets_a_picture_too(tmp_path):
    ours = {"contestants": {"numlstm": {"share_of_peak": ONE}}, "ratios": {}}
    document = {**DOCUMENTS["train"], "results": [{**TRAINED, **ours}]}
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"benchmark": "train", **document}), "utf-8")
    pictures.draw(path)


def test_the_kernels_of_a_gpu_alone_and_beside_the_processor(tmp_path):
    on_gpu = {"lstm_forward, tokens": {"gflop_per_second": ONE}, "adam_": {"gb_per_second": ONE}}
    on_cpu = DOCUMENTS["kernels"]["results"][0]
    for results in (
        [{**on_cpu, "device": "gpu", "kernels": on_gpu}],
        [on_cpu, {**on_cpu, "device": "gpu", "kernels": on_gpu}],
    ):
        path = tmp_path / "kernels.json"
        path.write_text(json.dumps({"benchmark": "kernels", "results": results}), "utf-8")
        drawn = pictures.draw(path).read_text("utf-8")
        assert ">1 GFLOP/s<" in drawn
        assert (">1 thread<" in drawn) == (len(results) == 2)


MACHINE = {"processor": "Intel(R) Xeon(R) Processor @ 2.50GHz", "vector_units": ["avx2", "fma", "avx512f"]}


def trained_on(path, machine, settings, **more):
    document = {"benchmark": "train", **DOCUMENTS["train"], "machine": machine, "settings": settings, **more}
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_several_processors_are_drawn_side_by_side(run_script, tmp_path):
    rounded = {**TRAINED, "ratios_bf16": {"torch bf16 tuned": ONE}}
    means = {"ratios": {"torch default": 1.5, "torch tuned": 1.2}, "ratios_bf16": {"torch bf16 tuned": 2.5}}
    amd = {"processor": "AMD EPYC", "vector_units": ["avx2", "amx_bf16"]}
    files = [
        trained_on(tmp_path / "a.json", MACHINE, {"threads": 2}),
        trained_on(tmp_path / "b.json", amd, {"threads": 1}, results=[rounded], geometric_means=means),
        trained_on(tmp_path / "c.json", amd, {"threads": 1, "isa": "avx2", "busy": 3}),
    ]
    target = tmp_path / "all.svg"
    assert run_script(pictures, "--together", target, *files) == f"drew {target}\n"
    drawn = target.read_text("utf-8")
    for title in (
        "Intel Xeon, AVX-512, 2 threads",
        "AMD EPYC, AMX, 1 thread",
        "AMD EPYC, limited to AVX2, 1 thread, 3 busy neighbours",
    ):
        assert f">{title}<" in drawn
    assert drawn.count(">beside PyTorch tuned<") == 1, "the panels share a legend"
    assert ">bf16, beside PyTorch bf16 tuned<" in drawn
    run_script(pictures, "--together", target, *files)
    assert target.read_text("utf-8") == drawn


def test_other_shapes_are_not_drawn_side_by_side(tmp_path):
    one = trained_on(tmp_path / "a.json", MACHINE, {"threads": 2})
    two = trained_on(tmp_path / "b.json", MACHINE, {"threads": 2}, results=[{**TRAINED, "name": "2x8"}])
    with pytest.raises(ValueError, match="of different shapes"):
        pictures.draw_side_by_side(tmp_path / "all.svg", [one, two])


def test_side_by_side_needs_results(run_script, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_script(pictures, "--together", tmp_path / "all.svg")
    assert "--together needs the results to draw" in capsys.readouterr().err


def test_nothing_written_is_nothing_drawn(capsys):
    pictures.draw_if_possible(None)
    assert not capsys.readouterr().out


def test_the_script_draws_the_files_that_are_named(run_script, tmp_path):
    path = tmp_path / "ngram.json"
    path.write_text(json.dumps({"benchmark": "ngram", **DOCUMENTS["ngram"]}), "utf-8")
    assert run_script(pictures, path) == f"drew {tmp_path / 'ngram.svg'}\n"


def test_the_script_needs_matplotlib(run_script, without, capsys):
    without("matplotlib")
    with pytest.raises(SystemExit):
        run_script(pictures)
    assert "`pip install .[benchmark]` brings it" in capsys.readouterr().err

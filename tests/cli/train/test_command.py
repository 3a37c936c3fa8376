"""`numlstm train` end to end: output, saved files, stopping and resuming."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numlstm.errors import WeightsError
from numlstm.network import weights_file
from numlstm.settings.training import OPTIMIZERS, TrainingSettings
from numlstm.storage import npz
from numlstm.training import loop as training
from tests.cli.conftest import Command
from tests.helpers.processes import hears_signals

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def parameters(path: Path) -> tuple[bytes, bytes, bytes]:
    file = weights_file.load(path)
    assert file.state is not None
    return (
        file.params.tobytes(),
        file.state.params.tobytes(),
        b"".join(slot.tobytes() for slot in file.state.slots.values()),
    )


def test_a_run_from_start_to_end(numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    done = numlstm("train", text_file, *tiny, "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    for shown in (
        "1,600 characters",
        "1,440 to train on, 160 to validate on",
        "2 LSTM layers of 12, 9 units",
        "reference (NumPy)",
    ):
        assert shown in done.stderr
    assert re.search(r"epoch 1/2  loss \d\.\d+  validation \d\.\d+ nats, \d\.\d+ bits/char  best so far", done.stderr)
    for temperature in ("0", "0.25", "0.5", "0.75"):
        assert len(re.findall(rf"^ +temperature {re.escape(temperature)} ", done.stderr, re.MULTILINE)) == 2
    assert "numlstm gen weights.npz" in done.stderr
    file = weights_file.load(tmp_path / "weights.npz")
    assert file.state is not None
    assert file.state.step == 46
    assert file.config.layers == (12, 9)


def test_the_seed_decides(numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert numlstm("train", text_file, *tiny, "--steps", "5", "--seed", seed, "-o", f"{name}.npz").returncode == 0
    a, b, c = (parameters(tmp_path / f"{name}.npz") for name in "abc")
    assert a == b
    assert a != c


def test_resume_equals_uninterrupted(numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """The total number of steps must match, because the learning rate depends on it."""
    assert numlstm("train", text_file, *tiny, "--steps", "60", "-o", "whole.npz").returncode == 0
    stopped = _stop_at_some_step(tmp_path, text_file, tiny, signal.SIGINT)
    assert stopped.returncode == 130, stopped.stderr
    step = weights_file.load(tmp_path / "part.npz").state.step  # type: ignore[union-attr]
    assert 0 < step < 60
    assert f"stopped and saved at step {step}; resume with: numlstm train --resume part.npz" in stopped.stderr
    resumed = numlstm("train", "--resume", "part.npz", "--device", "reference")
    assert resumed.returncode == 0, resumed.stderr
    assert f"from step {step}" in resumed.stderr
    assert parameters(tmp_path / "part.npz") == parameters(tmp_path / "whole.npz")


@posix_only
def test_validation_is_stopped_at_once_and_made_up_for(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert numlstm("train", text_file, *tiny, "--epochs", "1", "-o", "whole.npz").returncode == 0
    arguments = ("train", text_file, *tiny, "--epochs", "1", "-o", "part.npz")
    with monkeypatch.context() as patched:
        patched.setattr(training, "evaluate", lambda *args, **options: signal.raise_signal(signal.SIGINT))
        stopped = numlstm(*arguments)
    assert stopped.returncode == 130
    assert "saved at step 23; resume with" in stopped.stderr
    assert numlstm("train", "--resume", "part.npz", "--device", "reference").returncode == 0
    assert parameters(tmp_path / "part.npz") == parameters(tmp_path / "whole.npz")
    assert (
        weights_file.load(tmp_path / "part.npz").summary["history"]
        == weights_file.load(tmp_path / "whole.npz").summary["history"]
    )


def test_samples_of_every_second_epoch(numlstm: Command, text_file: Path, tiny: tuple[str, ...]) -> None:
    shown = {}
    for every in ("1", "2"):
        run = ("train", text_file, *tiny, "--epochs", "3", "--sample-every", every, "--prompt", "sesame", "--overwrite")
        done = numlstm(*run)
        assert done.returncode == 0, done.stderr
        shown[every] = done.stderr.count("sesame")
    assert shown["2"] * 3 == shown["1"] * 2  # after epoch 2 and at the end
    assert shown["2"] > 0


@pytest.mark.slow
@posix_only
def test_sigterm_saves_too(text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    stopped = _stop_at_some_step(tmp_path, text_file, tiny, signal.SIGTERM)
    assert stopped.returncode == 130
    assert weights_file.load(tmp_path / "part.npz").state is not None


@pytest.mark.slow
@posix_only
def test_a_terminal_that_goes_away_saves_too(text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    stopped = _stop_at_some_step(tmp_path, text_file, tiny, signal.SIGHUP)
    assert stopped.returncode == 130
    step = weights_file.load(tmp_path / "part.npz").state.step  # type: ignore[union-attr]
    assert f"stopped and saved at step {step}" in stopped.stderr


@posix_only
def test_a_reader_that_goes_away_loses_nothing(text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """As with `2>&1 | head`: failing to print ends the run, but it is saved first."""
    process = _start(tmp_path, "train", text_file, *tiny, "--epochs", "1", "--sample-length", "0", "-o", "part.npz")
    assert process.stderr is not None
    while not process.stderr.readline().startswith("output"):
        pass
    process.stderr.close()
    assert process.wait(timeout=60) != 0
    assert (
        weights_file.load(tmp_path / "part.npz").state is not None
    )  # at the step before the line that could not be printed


_SLOW_STEPS = """
import sys, time
import numlstm.training.loop as train
make = train._make
def slow(*given):
    time.sleep(0.02)
    return make(*given)
train._make = slow
from numlstm.cli import main
main()
"""


def _start(tmp_path: Path, *args: str | Path) -> subprocess.Popen[str]:
    """Start a run with steps of at least 20 ms, slow enough to stop it midway."""
    command = hears_signals([sys.executable, "-W", "error", "-c", _SLOW_STEPS, *args])
    return subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)


def _stop_at_some_step(
    tmp_path: Path, text_file: Path, tiny: tuple[str, ...], number: signal.Signals
) -> subprocess.CompletedProcess[str]:
    process = _start(tmp_path, "train", text_file, *tiny, "--steps", "60", "--save-every", "0.1s", "-o", "part.npz")
    while not (tmp_path / "part.npz").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, "", errors)


def test_an_existing_output_is_kept(numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "weights.npz").write_bytes(b"hours of work")
    refused = numlstm("train", text_file, *tiny, "--steps", "1")
    assert refused.returncode == 1
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "weights.npz").read_bytes() == b"hours of work"
    assert numlstm("train", text_file, *tiny, "--steps", "1", "--overwrite").returncode == 0
    weights_file.load(tmp_path / "weights.npz")


def test_resuming_a_changed_text_is_refused(numlstm: Command, text_file: Path, tiny: tuple[str, ...]) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "2").returncode == 0
    text_file.write_text(text_file.read_text() + "e")
    refused = numlstm("train", "--resume", "weights.npz", "--steps", "4", "--device", "reference")
    assert refused.returncode == 1
    assert "the text has changed" in refused.stderr
    text_file.write_text(text_file.read_text() + "日")
    refused = numlstm("train", "--resume", "weights.npz", "--steps", "4", "--device", "reference")
    assert refused.returncode == 1
    assert "is not that of the run in weights.npz: the text has 1 character that" in refused.stderr
    assert "--drop-unknown" not in refused.stderr, "train has no such option"


def test_what_belongs_to_the_run_cannot_change(numlstm: Command, text_file: Path, tiny: tuple[str, ...]) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "2").returncode == 0
    for option, was, value in (
        ("--layers", "12,9", "9"),
        ("--val-split", "0.1", "0.2"),
        ("--seed", "0", "1"),
        ("--encoding", "utf-8", "latin-1"),
        ("--embedding", "0", "7"),
        ("--gate-activation", "sigmoid", "hard-sigmoid"),
    ):
        refused = numlstm("train", "--resume", "weights.npz", option, value, "--device", "reference")
        assert refused.returncode == 1
        said = f"{option} cannot change in a resumed run: it is {was}, and {value} was given; leave it out"
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_more_epochs_for_a_finished_run(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    assert numlstm("train", text_file, *tiny, "--epochs", "1").returncode == 0
    assert numlstm("train", "--resume", "weights.npz", "--epochs", "2", "--device", "reference").returncode == 0
    state = weights_file.load(tmp_path / "weights.npz").state
    assert state is not None
    assert state.step == 46


def test_text_from_standard_input(numlstm: Command, tiny: tuple[str, ...], source_text: str, tmp_path: Path) -> None:
    read = source_text[:3000]
    done = numlstm("train", "-", *tiny, "--steps", "3", stdin=read)
    assert done.returncode == 0, done.stderr
    assert "3,000 characters" in done.stderr
    refused = numlstm("train", "--resume", "weights.npz", "--steps", "5", "--device", "reference")
    assert refused.returncode == 1
    assert "standard input" in refused.stderr
    again = numlstm("train", "-", "--resume", "weights.npz", "--steps", "5", "--device", "reference", stdin=read)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--layers", "12,x"], "one size per layer"),
        (["--layers", "0"], "--layers is 0; expected 1 to 64 whole numbers from 1 to 65536, one per layer"),
        pytest.param(
            ["--layers", "65536,65536,65536"],
            "GB of memory; lower --layers",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows has no sysconf for the memory"),
        ),
        (["--lr", "-1"], "lr is -1"),
        (["--epochs", "1"], "give either --epochs or --steps, not both"),
        (["--batch-size", "100000"], "lower --batch-size"),
        (["--device", "abacus"], "no device is called 'abacus'"),
        (["--threads", "100000", "--device", "cpu"], "threads is 100000"),
        (["--optimizer", "lbfgs"], "optimizer is 'lbfgs'; expected adam, adamw, rmsprop"),
        (
            ["--momentum", "0.5"],
            "--momentum does nothing with --optimizer adam; expected --optimizer rmsprop or momentum",
        ),
        (["--decay-steps", "5"], "--decay-steps does nothing with --schedule cosine; expected --schedule step"),
        (["--window-step", "5"], "--window-step does nothing with --batching streams; expected --batching windows"),
        (["--save-every", "5"], "--save-every is '5'; expected a time or a number of steps, such as 60s"),
        (["--max-time", "5steps"], "--max-time is '5steps'; expected a time such as 90s"),
        (["--snapshot-epochs", "1,x"], "--snapshot-epochs is '1,x'; expected epoch numbers"),
        (["--dropout", "1"], "--dropout is 1; expected a number of at least 0 and less than 1"),
        (
            ["--embedding", "9", "--tie-weights"],
            "expected 128, the size of the last layer's output, because --tie-weights",
        ),
        (["--patience", "2", "--val-split", "0"], "--patience needs a validation loss"),
        (["--encoding", "utf-99"], "utf-99"),
        (["-o", "text.txt/weights.npz"], "text.txt"),
        (["--sample-length", "-5"], "--sample-length is -5; expected a whole number from 0"),
        (["--max-time", ""], "--max-time is ''; expected a time such as 90s"),
        (["--save-every", ""], "--save-every is ''; expected a time or a number of steps"),
        (["-o", "runs/"], "runs/ is the name of a folder"),
        (["--prompt", "日本"], "--prompt has characters that the text lacks: '日', '本'"),
    ],
)
def test_errors_are_one_line(numlstm: Command, text_file: Path, tmp_path: Path, options: list[str], said: str) -> None:
    done = numlstm("train", text_file, "--steps", "1", *options)
    assert done.returncode == 1, done.stderr
    assert said in done.stderr
    assert done.stderr.startswith("numlstm: ")
    assert done.stderr.count("\n") == 1, "one line, no traceback"
    assert not (tmp_path / "weights.npz").exists()


def test_no_epochs_is_an_error(numlstm: Command, text_file: Path) -> None:
    done = numlstm("train", text_file, "--epochs", "0")
    assert done.returncode == 1
    assert "--epochs is 0" in done.stderr


def test_no_text_explains_the_choices(numlstm: Command) -> None:
    done = numlstm("train")
    assert done.returncode == 2
    assert "numlstm train tales" in done.stderr


def test_usage_errors_exit_with_2(numlstm: Command) -> None:
    assert numlstm("train", "x.txt", "--no-such-option").returncode == 2
    assert numlstm("trian", "x.txt").returncode == 2


def test_a_diverging_run_keeps_the_last_good_file(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "2").returncode == 0
    before = (tmp_path / "weights.npz").read_bytes()
    done = numlstm(
        "train", text_file, *tiny, "--steps", "40", "--lr", "3e37", "--clip", "0", "--overwrite", "--device", "cpu"
    )
    assert done.returncode == 1
    assert "expected finite" in done.stderr
    assert "nothing had been saved yet" in done.stderr
    assert (tmp_path / "weights.npz").read_bytes() == before


@posix_only
def test_a_full_disk_at_the_end_loses_nothing(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the output cannot be written, the run is saved to the temporary directory."""
    write = npz.write

    def full(path: Any, arrays: Any) -> None:
        if not Path(path).parent.name.startswith("numlstm-"):
            raise WeightsError("cannot write: no space left")
        write(path, arrays)

    monkeypatch.setattr(npz, "write", full)
    rescue = tmp_path / "tmp"
    rescue.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)  # makes tempfile read TMPDIR again
    done = numlstm("train", text_file, *tiny, "--epochs", "1", TMPDIR=str(rescue))
    assert done.returncode == 1
    assert "no space left; the run was saved to" in done.stderr
    saved = list(rescue.glob("numlstm-*/weights.npz"))
    assert len(saved) == 1
    state = weights_file.load(saved[0]).state
    assert state is not None
    assert state.step == 23


def test_the_weights_are_plain_npz(numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "2").returncode == 0
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        assert arrays["lstm.0.W_h"].shape == (12, 48)
        assert '"format": "numlstm"' in str(arrays["meta"])


def test_a_file_without_its_text_cannot_be_resumed(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "2").returncode == 0
    file = weights_file.load(tmp_path / "weights.npz")
    assert file.state is not None
    del file.state.record["corpus"]
    weights_file.save(tmp_path / "weights.npz", file)
    refused = numlstm("train", "--resume", "weights.npz", "--device", "reference")
    assert refused.returncode == 1
    assert "does not say what text" in refused.stderr


SETTINGS = [
    {"batch_size": 3, "seq_len": 11, "lr": 0.02, "clip": 0.5, "val_split": 0.2, "seed": 9, "patience": 4},
    {"optimizer": "adamw", "weight_decay": 0.2, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6, "clip_value": 0.25},
    {"optimizer": "momentum", "momentum": 0.7, "nesterov": True, "schedule": "linear", "lr_floor": 0.5},
    {"optimizer": "rmsprop", "rho": 0.8, "schedule": "step", "decay_steps": 7, "decay_rate": 0.3, "warmup_steps": 2},
    {"optimizer": "adagrad", "initial_accumulator": 0.3, "schedule": "plateau", "plateau_factor": 0.3},
    {"optimizer": "ftrl", "l1": 0.1, "l2": 0.2, "lr_power": -0.4, "schedule": "plateau", "plateau_patience": 7},
    {"batching": "windows", "window_step": 5, "steps_per_epoch": 9, "schedule": "constant"},
    {"dropout": 0.2, "recurrent_dropout": 0.1, "average": 0.99, "reset_state": 0.2},
]
ALONE = {"precision"}  # has its own test


@pytest.mark.parametrize("given", SETTINGS, ids=lambda given: next(iter(given.values())))
def test_every_setting_reaches_the_run(
    numlstm: Command, text_file: Path, tmp_path: Path, given: dict[str, object]
) -> None:
    options = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in given.items()]
    small = ("--layers", "5,4", "--steps", "3", "--device", "reference", "--sample-length", "0")
    done = numlstm("train", text_file, *options, *small, "-o", "w.npz")
    assert done.returncode == 0, done.stderr
    state = weights_file.load(tmp_path / "w.npz").state
    assert state is not None
    optimizer = str(given.get("optimizer", "adam"))
    reset = 0.0 if "batching" in given else 0.01
    expected = {**OPTIMIZERS[optimizer], "warmup_steps": 0, "steps": 3, "reset_state": reset, **given}
    assert {name: getattr(state.config, name) for name in expected} == expected
    assert set(state.slots) == set(state.config.kept)


def test_every_option_of_the_network_reaches_it(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    options = ("--embedding", "6", "--projection", "5", "--layer-norm", "--gate-activation", "hard-sigmoid")
    assert numlstm("train", text_file, *tiny, *options, "--steps", "2").returncode == 0
    config = weights_file.load(tmp_path / "weights.npz").config
    assert (config.layers, config.embedding, config.projection) == ((12, 9), 6, 5)
    assert (config.layer_norm, config.gate_activation, config.tie_weights) == (True, "hard-sigmoid", False)
    assert numlstm("train", text_file, *tiny, "--tie-weights", "--steps", "2", "-o", "tied.npz").returncode == 0
    config = weights_file.load(tmp_path / "tied.npz").config
    assert (config.tie_weights, config.embedding) == (True, 9)


def test_every_setting_has_a_test_that_it_reaches_the_run() -> None:
    tested = set().union(*SETTINGS) | {"steps"} | ALONE
    assert tested == {field.name for field in dataclasses.fields(TrainingSettings)}


def test_the_samples_can_be_chosen_or_left_out(numlstm: Command, text_file: Path, tiny: tuple[str, ...]) -> None:
    shown = numlstm("train", text_file, *tiny, "--steps", "2", "--prompt", "import re")
    assert len(re.findall(r"^samples that continue “import re”$", shown.stderr, re.MULTILINE)) == 1
    none = numlstm("train", text_file, *tiny, "--steps", "2", "--sample-length", "0", "--overwrite")
    assert not re.search("samples that", none.stderr, re.MULTILINE)


def test_threads_are_used(numlstm: Command, text_file: Path) -> None:
    done = numlstm("train", text_file, "--layers", "5", "--steps", "1", "--threads", "1", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "cpu (1 thread, " in done.stderr

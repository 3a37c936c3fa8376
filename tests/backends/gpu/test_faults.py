"""The list of faults matches the code, the last run caught them all, and planting a fault works."""

from __future__ import annotations

import json
import shutil

import pytest

from tests import emulation
from tests.backends.gpu import faults


def test_there_are_as_many_as_promised():
    kernels = [fault for fault in faults.faults() if fault.kernel]
    assert len(kernels) >= 40
    assert len(faults.faults()) - len(kernels) >= 15
    assert len(set(faults.faults())) == len(faults.faults())


@pytest.mark.parametrize("fault", faults.faults(), ids=lambda fault: f"{fault.file}: {fault.new.strip()[:40]}")
def test_there_is_a_place_for_each(fault, tmp_path):
    place = tmp_path / faults.GPU / fault.file
    place.parent.mkdir(parents=True)
    shutil.copy(faults.ROOT / faults.GPU / fault.file, place)
    faults.plant(fault, tmp_path)
    changed = place.read_text(encoding="utf-8")
    assert changed != (faults.ROOT / faults.GPU / fault.file).read_text(encoding="utf-8")
    if not fault.kernel:
        compile(changed, fault.file, "exec")


def test_a_fault_without_a_place_is_refused(tmp_path):
    place = tmp_path / faults.GPU / "dense.py"
    place.parent.mkdir(parents=True)
    place.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="has no 'something'"):
        faults.plant(faults.Fault("dense.py", "something", "else"), tmp_path)


def test_none_survived_when_they_were_last_planted():
    results = json.loads(faults.RESULTS.read_text(encoding="utf-8"))
    assert [faults.Fault(each["file"], each["old"], each["new"]) for each in results] == faults.faults()
    assert [each for each in results if "yes" not in [each[rung] for rung in faults.RUNGS]] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (None, "no"),
        (faults.Fault("kernels/text.cu", "y[n] = (int)text[place + 1]", "y[n] = (int)text[place]"), "yes"),
    ],
    ids=["none", "one"],
)
def test_what_is_planted_is_caught(fault, said, monkeypatch):
    if emulation.missing():
        pytest.skip(emulation.missing())
    monkeypatch.setattr(faults, "tests_of", lambda fault, rung: ["tests/backends/gpu/test_transfer.py"])
    assert faults.caught(fault, "2") == said

"""The device report: its contents and its layout."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

import numlstm
from numlstm.analysis import device_report
from numlstm.backends import cpu, reference


def test_a_report_of_each_device() -> None:
    found = device_report.facts(reference, {"finite differences": 1.24e-9}, {"more": "of it"})
    assert found["numlstm"] == numlstm.__version__
    assert found["device"] == reference.describe()
    assert found["python"].endswith(".".join(map(str, sys.version_info[:2])) + f".{sys.version_info[2]}")
    assert (found["error, finite differences"], found["more"]) == ("1.2e-09", "of it")
    assert {"threads", "registers", "numba", "numpy"} <= {*device_report.facts(cpu, {})}
    assert device_report.facts(cpu, {})["numpy"] == np.__version__


def test_as_text() -> None:
    assert device_report.as_text({"a": "1", "long one": "2 3"}) == "```\na         1\nlong one  2 3\n```"


def test_the_worst_of_each_kind() -> None:
    found = device_report.worst([("b", 1.0), ("a", 2.0), ("b", 3.0), ("a", 1.0)])
    assert list(found.items()) == [("b", 3.0), ("a", 2.0)]
    for order in ([math.nan, 1.0], [1.0, math.nan], [1.0, math.nan, 2.0]):
        assert device_report.worst(("a", each) for each in order)["a"] == pytest.approx(math.nan, nan_ok=True)

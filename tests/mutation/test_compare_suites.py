"""The comparison of two versions of the test suite reports lost tests, given files as pytest writes them."""

from __future__ import annotations

import sys

import pytest

from tests.mutation import compare_suites
from tests.mutation.compare_suites import Case, Ran, Suite, case_of

BEFORE = """
<testcase classname="tests.text.test_a" name="test_a[1]" time="1.0" />
<testcase classname="tests.text.test_a" name="test_a[x[2] - y.py::z]" time="2.0" />
<testcase classname="tests.text.test_a.TestB" name="test_b" time="0.5" />
<testcase classname="tests.test_c" name="test_c" time="0.25"><skipped message="no GPU" /></testcase>
"""
FAST = """
<testcase classname="tests.text.test_a" name="test_a[1]" time="1.0" />
<testcase classname="tests.test_c" name="test_c" time="0.25"><skipped message="no GPU" /></testcase>
<testcase classname="tests.text.test_new" name="test_new[|]" time="3.0" />
"""
SLOW = """<testcase classname="tests.lists.test_b.TestB" name="test_b" time="0.5" />"""
GONE = "tests/text/test_a.py::test_a"


def written(path, cases):
    text = f'<testsuites><testsuite name="pytest" time="4.5">{cases}</testsuite></testsuites>'
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs the script and returns its exit code and the file it wrote."""

    def ran(fast=FAST, slow=SLOW, reasons=f"# why\n\n{GONE} -> 1 proves it", collected=""):
        files = [("before", BEFORE), ("fast", fast), ("slow", slow)]
        junit = [str(written(tmp_path / f"{name}.xml", cases)) for name, cases in files]
        (tmp_path / "gone.txt").write_text(reasons, "utf-8")
        (tmp_path / "ids.txt").write_text(collected, "utf-8")
        own = ["--collected", "ids.txt", "--reasons", "gone.txt", "--output", "out.md"]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["compare_suites.py", *junit, *own])
        return compare_suites.main(), (tmp_path / "out.md").read_text("utf-8")

    return ran


def test_ids_and_junit_name_the_same_cases(tmp_path):
    cases = compare_suites.read_junit(written(tmp_path / "before.xml", BEFORE)).cases
    assert [*map(str, cases)] == [
        "tests/text/test_a.py::test_a[1]",
        "tests/text/test_a.py::test_a[x[2] - y.py::z]",
        "tests/text/test_a.py::TestB::test_b",
        "tests/test_c.py::test_c",
    ]
    assert [case_of(str(case)) for case in cases] == [*cases]


def test_what_moved_or_went_for_a_reason_is_no_loss(run, capsys):
    code, text = run(collected="tests/test_c.py::test_c\n\n3 tests collected in 1 s\n")
    assert (code, capsys.readouterr().out) == (0, "out.md: nothing is lost\n")
    for line in (
        "| test functions | 3 | 3 | 1 | 4 |",
        "| cases | 4 | 3 | 1 | 4 |",
        "| passed | 3 | 2 | 1 | 3 |",
        "| seconds of all cases | 4 | 4 | 0 | 5 |",
        "| tests/text | 2, 3, 4 | 2, 2, 4 | 0, 0, 0 | 2, 2, 4 |",
        "| 2.0 | `tests/text/test_a.py::test_a[x[2] - y.py::z]` |",
        f"| `{GONE}` | 1 of 2 | `x[2] - y.py::z` | 1 proves it |",
        "| `tests/text/test_new.py::test_new` | 1 of 1 | all |",
        "| 3.0 | `tests/text/test_new.py::test_new[\\|]` |",
        "| tests/text/test_a.py | tests/lists/test_b.py | 1 | `TestB::test_b` |",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"reasons": ""}, f"no reason for {GONE}"),
        ({"slow": ""}, "no reason for tests/text/test_a.py::TestB::test_b"),
        ({"slow": SLOW.replace("/>", "><skipped /></testcase>")}, "no reason for tests/text/test_a.py::TestB::test_b"),
        ({"slow": SLOW.replace("/>", "><failure /></testcase>")}, "failed: tests/lists/test_b.py::TestB::test_b"),
        ({"slow": SLOW + SLOW.replace("/>", "><error /></testcase>")}, "failed: tests/lists/test_b.py::TestB::test_b"),
        ({"reasons": f"{GONE} -> x\n{GONE}_a -> y"}, f"nothing went that {GONE}_a is a reason for"),
        ({"collected": "tests/test_d.py::test_d[a b]"}, "collected, but it did not run: tests/test_d.py::test_d[a b]"),
    ],
    ids=["gone", "slow left out", "skipped", "failed", "failed when cleared up", "reason for nothing", "did not run"],
)
def test_what_is_lost_is_told(changed, problem, run, capsys):
    assert run(**changed)[0] == 1
    assert capsys.readouterr().out == f"{problem}\n"


def test_a_case_that_one_run_skips_and_another_runs_has_run():
    case = Case("tests/test_a.py", "test_a", "")
    skipped, passed = (Suite({case: Ran(outcome, 1.0)}, 1.0) for outcome in ("skipped", "passed"))
    assert compare_suites.merged([skipped, passed]).cases[case] == Ran("passed", 2.0)
    assert compare_suites.merged([skipped]).cases[case] == Ran("skipped", 1.0)


@pytest.mark.parametrize("line", ["tests/test_a.py::test_a", "tests/test_a.py::test_a -> ", "tests/test_a.py -->x"])
def test_a_line_without_a_reason_is_refused(line, tmp_path):
    (tmp_path / "gone.txt").write_text(line, "utf-8")
    with pytest.raises(ValueError, match=r"^gone\.txt: "):
        compare_suites.read_reasons(tmp_path / "gone.txt")

"""Faults are chosen and planted correctly, and the tests catch all faults that change a result."""

from __future__ import annotations

import ast
import concurrent.futures
import io
import json
import sys
import threading
import time
import tokenize
from pathlib import Path

import pytest

from tests.mutation import mutants, one_token_faults, project_copy
from tests.mutation.mutants import IN_ONE, Results
from tests.mutation.one_token_faults import AREAS, PER_AREA, Fault
from tests.mutation.project_copy import ROOT, Run, run_pytest

PLACES = {
    "if a < b or c is None: pass": [
        "if a <= b or c is None: pass",
        "if a < b and c is None: pass",
        "if a < b or c is not None: pass",
    ],
    "x = not a in b": ["x = a in b", "x = not a not in b"],
    "x = a not in b is not c": ["x = a in b is not c", "x = a not in b is c"],
    "x = (a) + (b * -c)": ["x = (a) - (b * -c)", "x = (a) + (b / -c)", "x = (a) + (b * c)"],
    "x -= 1": ["x += 1", "x -= 2"],
    "def f(a: int = 100, *, b: bool = True) -> int: return min(a, b)": [
        "def f(a: int = 101, *, b: bool = True) -> int: return min(a, b)",
        "def f(a: int = 100, *, b: bool = False) -> int: return min(a, b)",
        "def f(a: int = 100, *, b: bool = True) -> int: return max(a, b)",
    ],
    "def f(): return None": ["def f(): return 0"],
    "for x in y: continue": ["for x in y: break"],
    "x = (a  # and - c\n    + b)": ["    - b)"],
    "x = '가' if a == b else c": ["x = '가' if a != b else c"],
}
NO_PLACES = [
    '"""1 + 1 is True."""',
    "x: Literal[1, 2]",
    "def f(a: Literal[1, 2]) -> Annotated[int, Field(3, strict=True)]: pass",
    "assert a < b, 1 + 1",
    "raise ValueError(f'{a + 1} or {b < c}')",
    "x = f'{a + 1:{b - 1}}'",
    "if TYPE_CHECKING: x = 1",
    "if sys.platform == 'win32': x = 1",
    "if sys.version_info >= (3, 11): x = 1",
    "__all__ = ['a'] * 3",
    "x = 'a' + b + [c][d]",
    "x = cast(Literal[1], a)",
    "x = 101 ** 0x10",
    "@dataclass(frozen=True)\nclass A: pass",
    "x = zip(a, b, strict=True)",
]
# Only the plugins whose options are used: importing all installed ones takes seconds.
PLUGINS = " ".join(
    f"-p {name}" for name in ("pytest_timeout", "_hypothesis_pytestplugin", "xdist.plugin")[: 2 + bool(IN_ONE)]
)
TOY = {
    "pyproject.toml": f"[tool.pytest.ini_options]\naddopts = '-q {PLUGINS}'\n",
    "numlstm/__init__.py": "",
    "numlstm/counting.py": "def after(n):\n    return n + 1\n\n\ndef is_small(n):\n    return n < 3\n",
    "tests/test_counting.py": (
        "from numlstm.counting import after, is_small\n\n\ndef test_counting():\n"
        "    assert after(1) == 2 and is_small(1) and not is_small(7)\n"
    ),
}
CAUGHT = Fault("text", "numlstm/counting.py", 2, "    return n + 1", "    return n - 1")
MISSED = Fault("text", "numlstm/counting.py", 6, "    return n < 3", "    return n <= 3")


@pytest.fixture(scope="module")
def chosen():
    return one_token_faults.chosen(ROOT, seed=1)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name, text in TOY.items():
        path = tmp_path / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path / "toy"


def tokens(source):
    return [token.string for token in tokenize.generate_tokens(io.StringIO(source).readline)]


class WithoutTexts(ast.NodeTransformer):
    """Removes code that computes nothing: strings, annotations and `raise`."""

    def visit_FunctionDef(self, node):
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_AnnAssign(self, node):
        node.annotation = ast.Name("any")
        return self.generic_visit(node)

    def visit_Raise(self, node):
        return ast.Pass()

    def visit_Constant(self, node):
        return ast.Constant("") if isinstance(node.value, str) else node


@pytest.mark.parametrize(("source", "expected"), PLACES.items(), ids=PLACES)
def test_one_token_is_changed_at_a_time(source, expected):
    assert [fault.new for _, fault in one_token_faults.faults_in("text", "a.py", source)] == expected


@pytest.mark.parametrize("source", NO_PLACES)
def test_what_computes_nothing_has_no_place_for_a_fault(source):
    assert one_token_faults.changes(source) == []


def test_all_areas_have_the_same_number_of_faults(chosen):
    assert [fault.area for fault in chosen] == [area for area in AREAS for _ in range(PER_AREA)]
    assert len(set(chosen)) >= 60


def test_each_fault_is_one_token_of_code_that_computes_something(chosen):
    for fault in chosen[::3]:  # every third: some of every area
        lines = (ROOT / fault.file).read_text("utf-8").split("\n")
        assert lines[fault.line - 1] == fault.old
        changed = "\n".join([*lines[: fault.line - 1], fault.new, *lines[fault.line :]])
        before, after = tokens("\n".join(lines)), tokens(changed)
        same = next(n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
        assert any(before[same + a :] == after[same + b :] for a, b in ((1, 1), (1, 0), (0, 1))), fault
        computed = {ast.dump(WithoutTexts().visit(ast.parse(text))) for text in ("\n".join(lines), changed)}
        assert len(computed) == 2, fault


def test_the_seed_decides(monkeypatch):
    monkeypatch.setattr(one_token_faults, "AREAS", {"text": "text/vocab/word*"})
    first, again, other = (one_token_faults.chosen(ROOT, seed) for seed in (1, 1, 2))
    assert first == again
    assert {*first} != {*other}


def test_a_change_elsewhere_leaves_the_choice_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(one_token_faults, "AREAS", {"text": "text/*"})
    (tmp_path / "numlstm" / "text").mkdir(parents=True)
    (tmp_path / "numlstm" / "text" / "a.py").write_text("".join(f"x = {n} + a\n" for n in range(50)), "utf-8")
    before = one_token_faults.chosen(tmp_path, seed=1)
    (tmp_path / "numlstm" / "text" / "a.py").write_text("y = a\n" + "".join(f"x = {n} + a\n" for n in range(50)))
    after = one_token_faults.chosen(tmp_path, seed=1)
    assert [fault._replace(line=fault.line - 1) for fault in after] == before


def test_an_area_without_files_is_an_error(monkeypatch):
    monkeypatch.setitem(AREAS, "text", "text/* nowhere")
    with pytest.raises(FileNotFoundError, match="'text' has 'nowhere'"):
        one_token_faults.files_of("text", ROOT)


def test_a_line_that_has_changed_is_no_place(toy):
    with pytest.raises(ValueError, match=r"line 6 of numlstm/counting\.py is not 'return n > 3'"):
        one_token_faults.plant(MISSED._replace(old="    return n > 3"), toy)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "caught", "tried"), [(CAUGHT, "near", ["near"]), (MISSED, "", ["near", "fast"])], ids=["one", "none"]
)
def test_what_is_planted_is_caught_where_a_test_sees_it(fault, caught, tried, toy, tmp_path):
    record = mutants.examine(fault, ["near", "fast"], None, toy, tmp_path / "cache", one=True)
    assert (record["caught"], record["tried"]) == (caught, tried)
    assert record["test"] == ("tests/test_counting.py::test_counting" if caught else "")
    assert not mutants._is_open(record, ["near", "fast"])
    assert (toy / "numlstm" / "counting.py").read_text("utf-8") == TOY["numlstm/counting.py"]


@pytest.mark.slow
def test_tests_that_fail_without_a_fault_are_found(toy, tmp_path):
    one_token_faults.plant(CAUGHT, toy)
    failed = mutants.pass_without_fault(["near"], [MISSED], toy, tmp_path / "cache")
    assert failed == "tests/test_counting.py::test_counting"


def test_tests_that_take_too_long_are_stopped(toy):
    assert run_pytest(toy, IN_ONE, 0.01).code is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finding leftover processes needs Linux's /proc")
def test_all_ends_that_the_tests_have_started(toy, monkeypatch):
    (toy / "tests" / "test_counting.py").write_text(
        "import subprocess, sys, time\n\n\ndef test_it():\n"
        "    words = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "    child = subprocess.Popen(words, start_new_session=True)\n"
        "    open('child', 'w').write(f'{child.pid}.')\n    time.sleep(600)\n"
    )
    monkeypatch.setattr(project_copy, "INTERRUPTED", threading.Event())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running, written = pool.submit(run_pytest, toy, IN_ONE, 500), toy / "child"
        while not running.done() and not (written.exists() and written.read_text().endswith(".")):
            time.sleep(0.05)
        project_copy.INTERRUPTED.set()
        with pytest.raises(KeyboardInterrupt):
            running.result()
    child = Path("/proc", written.read_text()[:-1], "cmdline")
    assert not child.exists() or child.read_bytes() == b""  # ended, but perhaps not yet reaped


def test_a_package_from_elsewhere_is_refused(toy):
    (toy / "numlstm" / "__init__.py").unlink()
    with pytest.raises(RuntimeError, match=r"numlstm is imported from .*, not from the copy"):
        run_pytest(toy, [], 1)


@pytest.mark.parametrize(
    ("file", "nearest"),
    [
        ("numlstm/text/vocab/word.py", ["tests/text/vocab/test_word.py", "tests/text/vocab/test_word_splitting.py"]),
        ("numlstm/backends/cpu/packing.py", ["tests/backends/cpu/test_packing.py"]),
        ("numlstm/training/loop.py", ["tests/training/test_loop.py"]),
    ],
)
def test_the_nearest_tests_come_first(file, nearest):
    found = mutants.near_tests(file, ROOT)
    assert found[: len(nearest)] == nearest
    assert len({*found}) == len(found)


def test_the_tests_of_a_module_that_no_file_is_named_after_are_those_that_import_it(toy):
    assert mutants.near_tests("numlstm/counting.py", toy) == ["tests/test_counting.py"]
    (toy / "tests" / "test_counting.py").rename(toy / "tests" / "test_numbers.py")
    assert mutants.near_tests("numlstm/counting.py", toy) == ["tests/test_numbers.py"]
    assert mutants.near_tests("numlstm/other.py", toy) == []


def test_a_step_runs_what_no_step_before_it_has_run():
    near, *rest = (mutants.asked_in(step, ["a.py"], True, one=False) for step in ("near", "fast", "slow"))
    assert (near.files, [each.files for each in rest]) == (["a.py"], [[], []])
    assert ["--ignore=a.py" in each.options for each in (near, *rest)] == [False, True, False]
    assert rest[1].options[-2:] == ["-m", "slow"]


def test_a_test_that_fails_only_once_says_nothing(monkeypatch, tmp_path):
    asked = []

    def ran(copy, arguments, seconds, **variables):
        asked.append(arguments)
        return [Run(1, "FAILED tests/a.py::test_a[x - y] - assert 1 == 2\n"), Run(0, ""), Run(0, "")][len(asked) - 1]

    monkeypatch.setattr(mutants, "run_pytest", ran)
    assert mutants.first_failure(tmp_path, mutants.Asked([], []), 1, tmp_path) == ""
    assert asked[2] == ["--deselect=tests/a.py::test_a[x - y]"]


def record(fault, caught="", tried=("near", "fast", "slow"), **more):
    return {**fault._asdict(), "caught": caught, "test": "", "tried": [*tried], "seconds": 1.0, **more}


def test_results_are_kept_with_the_verdicts_on_them(tmp_path):
    path, moved = tmp_path / "results.json", MISSED._replace(line=9)
    Results(path, [CAUGHT, MISSED], 1).add(CAUGHT, record(CAUGHT, "near"))
    results = Results(path, [CAUGHT, MISSED], 1)
    results.add(MISSED, record(MISSED))
    assert [each["caught"] for each in results.in_order()] == ["near", ""]
    text = path.read_text("utf-8")
    assert '"verdict": ""' in text
    path.write_text(text.replace('"verdict": ""', '"verdict": "no result changes: because"'), "utf-8")
    results = Results(path, [CAUGHT, moved], 1)
    assert [*results.records] == [CAUGHT]
    results.add(CAUGHT, record(CAUGHT, "fast"))  # another fault's record must not lose the verdict
    results = Results(path, [CAUGHT, moved], 1)
    results.add(moved, record(moved))
    assert results.in_order()[1]["verdict"] == "no result changes: because"
    assert "earlier" not in json.loads(path.read_text("utf-8"))


def test_what_the_tests_do_not_catch_is_a_problem():
    faults = [CAUGHT._replace(line=line) for line in range(1, 21)]
    caught = [record(fault, "near") for fault in faults[:18]]
    slow, gap = record(faults[18], "slow"), record(faults[19], verdict="gap: nobody asks")
    harmless = record(faults[19], verdict="no result changes: it is only printed")
    assert mutants.problems([*caught, slow, harmless]) == []
    assert mutants.problems([*caught, gap]) == ["survived: numlstm/counting.py:20: return n - 1"]
    assert mutants.problems([*caught[:8], slow]) == ["the fast tests catch 89%"]
    assert mutants.table([*caught, slow, harmless]).endswith("| all | 20 | 18 | 0 | 1 | 1 | 1 | 95% |")


@pytest.mark.skipif(not mutants.RESULTS.exists(), reason="tests/mutation/mutants.py has saved no results yet")
def test_all_were_caught_that_change_a_result():
    records = json.loads(mutants.RESULTS.read_text("utf-8"))["faults"]
    assert len({Fault(*(each[field] for field in Fault._fields)) for each in records}) == len(records) >= 60
    assert {each["area"] for each in records} == {*AREAS}
    assert [each for each in records if not each["caught"] and "fast" not in each["tried"]] == []
    assert [each for each in records if not each["caught"] and not mutants.is_harmless(each)] == []
    assert mutants.problems(records) == []

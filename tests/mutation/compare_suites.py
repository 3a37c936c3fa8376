"""Compare two versions of the test suite: the number of tests, their durations, and why removed tests are no loss.

    pytest --junitxml before.xml                                  in the older version
    pytest --junitxml fast.xml; pytest -m slow --junitxml slow.xml; pytest -m "" --collect-only > ids.txt
    python -m tests.mutation.compare_suites before.xml fast.xml slow.xml --collected ids.txt

Writes `DURATIONS.md`. The reasons are hand-written lines of `gone.txt`, such as `tests/test_a.py::test_b* -> WHY`: an
id or a glob for ids, without parameters. A test with the same name and parameters in another file counts as moved.

Exits with 1 if a case was removed or is now skipped without a reason, if a reason matches no such case, if a case
failed, or if it was collected but did not run.
"""

from __future__ import annotations

import argparse
import fnmatch
import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ARROW = " -> "
SLOWEST = 10
WRITTEN_BY = """Written by `python -m tests.mutation.compare_suites before.xml fast.xml slow.xml --collected ids.txt`,
whose docstring describes these files. A case is a test function with one set of parameters."""
NAMED = 6  # at most so many parameter sets of a function are listed


class Case(NamedTuple):
    """A test function with one set of parameters ("": none); `function` includes its classes."""

    file: str
    function: str
    parameters: str

    @property
    def test(self) -> str:
        """The id without the parameters."""
        return f"{self.file}::{self.function}"

    def __str__(self) -> str:
        return self.test + (f"[{self.parameters}]" if self.parameters else "")


class Ran(NamedTuple):
    """The outcome and duration of a case."""

    outcome: str
    seconds: float


class Suite(NamedTuple):
    """The content of a JUnit file: the cases, and the wall time in seconds."""

    cases: dict[Case, Ran]
    seconds: float


class Comparison(NamedTuple):
    """The cases that moved (old to new), were removed, are now skipped, or are new."""

    moved: dict[Case, Case]
    gone: list[Case]
    skipped: list[Case]
    new: list[Case]


def case_of(id_: str) -> Case:
    """Parse a pytest id, such as `tests/test_a.py::TestB::test_c[1]`."""
    name, _, parameters = id_.partition("[")
    file, _, function = name.partition("::")
    return Case(file, function, parameters.removesuffix("]"))


def read_junit(path: Path) -> Suite:
    """Read a file that pytest wrote with `--junitxml`."""
    cases: dict[Case, Ran] = {}
    suites = list(ET.parse(path).getroot().iter("testsuite"))
    for suite in suites:
        for node in suite.iter("testcase"):
            module, classes = _module_and_classes(node.get("classname", ""))
            name, bracket, parameters = node.get("name", "").partition("[")
            case = case_of(f"{module}::{'::'.join([*classes, name])}{bracket}{parameters}")
            outcome = next((child.tag for child in node if child.tag in ("failure", "error", "skipped")), "passed")
            seconds = float(node.get("time", 0))
            if case in cases:  # reported twice: for its failure and for that of its teardown
                outcome, seconds = "error", seconds + cases[case].seconds
            cases[case] = Ran("failed" if outcome in ("failure", "error") else outcome, seconds)
    return Suite(cases, sum(float(suite.get("time", 0)) for suite in suites))


def _module_and_classes(dotted: str) -> tuple[str, list[str]]:
    """Split `tests.cli.test_a.TestB` into the file and the classes in it."""
    parts = dotted.split(".")
    last = next((n for n, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1)
    return "/".join(parts[: last + 1]) + ".py", parts[last + 1 :]


def read_reasons(path: Path) -> dict[str, str]:
    """Return the reasons by glob. Raises ValueError if a line is neither a reason, a comment nor empty."""
    reasons = {}
    for line in path.read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            glob, arrow, reason = line.partition(ARROW)
            if not arrow or not reason.strip():
                raise ValueError(f"{path.name}: {line!r} is not a test, {ARROW!r} and a reason")
            reasons[glob.strip()] = reason.strip()
    return reasons


def compare(before: Mapping[Case, Ran], after: Mapping[Case, Ran]) -> Comparison:
    """Compare the cases of the older version with those of the newer one."""
    elsewhere = defaultdict(list)
    for case in after:
        if case not in before:
            elsewhere[case.function, case.parameters].append(case)
    moved, gone, skipped = {}, [], []
    for case, ran in before.items():
        candidates = elsewhere[case.function, case.parameters]
        now = case if case in after else candidates.pop(0) if candidates else None
        if now is None:
            gone.append(case)
            continue
        if now != case:
            moved[case] = now
        if ran.outcome == "passed" and after[now].outcome == "skipped":
            skipped.append(case)
    return Comparison(moved, gone, skipped, [case for cases in elsewhere.values() for case in cases])


def problems(
    found: Comparison, after: Mapping[Case, Ran], reasons: Mapping[str, str], collected: Iterable[Case]
) -> list[str]:
    """Return the problems of the newer version, one line each."""
    left = {case.test: case for case in [*found.gone, *found.skipped]}
    lines = [f"no reason for {test}" for test in left if not _reason(test, reasons)]
    lines += [f"nothing went that {glob} is a reason for" for glob in reasons if not fnmatch.filter(left, glob)]
    lines += [f"failed: {case}" for case, ran in after.items() if ran.outcome == "failed"]
    return lines + [f"collected, but it did not run: {case}" for case in collected if case not in after]


def _reason(test: str, reasons: Mapping[str, str]) -> str:
    return next((reason for glob, reason in reasons.items() if fnmatch.fnmatchcase(test, glob)), "")


def report(before: Suite, parts: Mapping[str, Suite], found: Comparison, reasons: Mapping[str, str]) -> str:
    """Return the comparison as Markdown; `parts` are the runs of the newer version by name."""
    suites = {"before": before, **parts, "after": merged(parts.values())}
    lines = ["# The tests before and after", "", WRITTEN_BY, ""]
    lines += _table(["", *suites], _numbers(suites))
    lines += ["", "## By folder", "", "Test functions, cases and the seconds of the cases.", ""]
    lines += _table(["folder", *(f"{name}: functions, cases, s" for name in suites)], _folders(suites))
    for name, suite in suites.items():
        if name != "after":
            lines += ["", f"## The slowest {SLOWEST}: {name}", ""]
            slowest = sorted(suite.cases.items(), key=lambda item: (-item[1].seconds, item[0]))[:SLOWEST]
            lines += _table(["s", "test"], [[f"{ran.seconds:.1f}", f"`{case}`"] for case, ran in slowest])
    for title, cases in (("went", found.gone), ("are skipped now", found.skipped)):
        lines += ["", f"## Tests that {title}: {_count(cases)}", ""]
        rows = [[*row, _reason(row[0].strip("`"), reasons)] for row in _by_function(cases, before.cases)]
        lines += _table(["test", "cases", "which", "why nothing is lost"], rows)
    lines += ["", f"## New tests: {_count(found.new)}", ""]
    lines += _table(["test", "cases", "which"], _by_function(found.new, suites["after"].cases))
    lines += ["", f"## Tests that moved: {_count(found.moved)}", ""]
    lines += _table(["from", "to", "cases", "functions"], _by_files(found.moved))
    return "\n".join(lines) + "\n"


def merged(suites: Iterable[Suite]) -> Suite:
    """Merge several runs; a case that was skipped in one and run in another counts as run."""
    cases: dict[Case, Ran] = {}
    seconds = 0.0
    for suite in suites:
        seconds += suite.seconds
        for case, ran in suite.cases.items():
            known = cases.get(case, Ran("skipped", 0.0))
            outcome = next(each for each in ("failed", "passed", "skipped") if each in (known.outcome, ran.outcome))
            cases[case] = Ran(outcome, known.seconds + ran.seconds)
    return Suite(cases, seconds)


def _numbers(suites: Mapping[str, Suite]) -> list[list[str]]:
    outcomes = [Counter(ran.outcome for ran in suite.cases.values()) for suite in suites.values()]
    return [
        ["test functions", *(str(len({case.test for case in suite.cases})) for suite in suites.values())],
        ["cases", *(str(len(suite.cases)) for suite in suites.values())],
        *([outcome, *(str(each[outcome]) for each in outcomes)] for outcome in ("passed", "skipped", "failed")),
        ["seconds of all cases", *(f"{_seconds(suite.cases.values()):.0f}" for suite in suites.values())],
        ["seconds from start to end", *(f"{suite.seconds:.0f}" for suite in suites.values())],
    ]


def _folders(suites: Mapping[str, Suite]) -> list[list[str]]:
    folders = sorted({_folder(case) for suite in suites.values() for case in suite.cases})
    rows = []
    for folder in folders:
        own = [{case: ran for case, ran in suite.cases.items() if _folder(case) == folder} for suite in suites.values()]
        numbers = [f"{len({case.test for case in each})}, {len(each)}, {_seconds(each.values()):.0f}" for each in own]
        rows.append([folder, *numbers])
    return rows


def _folder(case: Case) -> str:
    return case.file.rpartition("/")[0]


def _seconds(ran: Iterable[Ran]) -> float:
    return sum(each.seconds for each in ran)


def _count(cases: Iterable[Case]) -> str:
    cases = list(cases)
    return f"{len({case.test for case in cases})} functions, {len(cases)} cases"


def _by_function(cases: Iterable[Case], every: Iterable[Case]) -> list[list[str]]:
    """Return a row for each function: its id, the number of cases out of all, and the first parameters."""
    groups: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        groups[case.test].append(case.parameters)
    of = Counter(case.test for case in every)
    rows = []
    for test, parameters in sorted(groups.items()):
        more = ", …" if len(parameters) > NAMED else ""
        named = ", ".join(f"`{each}`" for each in parameters[:NAMED] if each) + more
        which = "all" if len(parameters) == of[test] else named
        rows.append([f"`{test}`", f"{len(parameters)} of {of[test]}", which])
    return rows


def _by_files(moved: Mapping[Case, Case]) -> list[list[str]]:
    """Return a row for each pair of files between which tests moved."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for old, new in moved.items():
        groups[old.file, new.file].append(old.function)
    return [
        [*files, str(len(names)), ", ".join(f"`{name}`" for name in dict.fromkeys(names))]
        for files, names in sorted(groups.items())
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return ["None."]
    written = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *written)]


def main() -> int:
    """Write the comparison, and print the problems of the newer version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="JUnit file of the older version")
    parser.add_argument("after", type=Path, nargs="+", help="JUnit files of the newer version, one per column")
    parser.add_argument("--collected", type=Path, help="output of pytest --collect-only in the newer version")
    parser.add_argument("--reasons", type=Path, default=HERE / "gone.txt", help="reasons (default: gone.txt here)")
    parser.add_argument(
        "--output", type=Path, default=HERE / "DURATIONS.md", help="file to write (default: DURATIONS.md here)"
    )
    asked = parser.parse_args()
    before, parts = read_junit(asked.before), {path.stem: read_junit(path) for path in asked.after}
    after = merged(parts.values())
    reasons = read_reasons(asked.reasons) if asked.reasons.exists() else {}
    listed = re.findall(r"^\S+\.py::.+$", asked.collected.read_text("utf-8"), re.MULTILINE) if asked.collected else []
    found = compare(before.cases, after.cases)
    asked.output.write_text(report(before, parts, found, reasons), "utf-8", newline="\n")
    wrong = problems(found, after.cases, reasons, map(case_of, listed))
    print("\n".join(wrong or [f"{asked.output}: nothing is lost"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

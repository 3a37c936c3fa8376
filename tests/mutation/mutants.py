"""Mutation testing: plant one-token faults in the package, one at a time, and check that the tests catch them.

    python -m tests.mutation.mutants --list        list the faults that the seed chooses, without running anything
    python -m tests.mutation.mutants --only text   examine the faults of one area
    python -m tests.mutation.mutants --slow        examine all; run the slow tests on the faults that the fast ones miss

Each fault is planted in a copy of the project. The tests nearest to its module run first, then the rest of `pytest`,
then `pytest -m slow`, until one test fails; it must fail again when it runs alone. Before all this the same tests must
pass on a copy without a fault. Each result is saved in `mutants.json` at once, so a stopped script resumes where it
was.

Each fault that no test catches needs a hand-written "verdict" there: "no result changes: WHY", or "gap: WHAT" until
there is a test for it. Exits with 1 if the fast tests caught less than 90 % of the faults that change a result, or if
such a fault also survived the slow tests.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutation import one_token_faults
from tests.mutation.one_token_faults import AREAS, PER_AREA, Fault
from tests.mutation.project_copy import INTERRUPTED, ROOT, copy_project, run_pytest

RESULTS = Path(__file__).with_suffix(".json")
CACHE = Path.home() / ".cache" / "numlstm-mutants"  # compiled kernels, and the copies while in use
SECONDS = {"near": 900.0, "fast": 1800.0, "slow": 14400.0}  # time limit of a step; a fault that hangs counts as caught
ONE_TEST = 300  # time limit in seconds of a fast test without one of its own
LEAST = 0.9  # minimum share of the faults that change a result, caught by the fast tests
HARMLESS = "no result changes: "
IN_ONE = ["-n0"] if importlib.util.find_spec("xdist") else []  # no pytest worker processes
OWN_TESTS = "tests/mutation/test_mutants.py"  # left out: a fault changes the package that they check
Record = dict[str, Any]  # a fault's fields, `caught`, `test`, `tried`, `seconds`, and a survivor's `verdict`


def near_tests(file: str, root: Path) -> list[str]:
    """Return the test files nearest to a module: those named after it, then those in the folder that mirrors its own.

    If there are none, return the test files that import the module.
    """
    module = Path(file)
    stem = module.parent.name if module.stem == "__init__" else module.stem.strip("_")
    tests = sorted(root.glob("tests/**/test_*.py"))
    named = [path for path in tests if f"_{stem}_" in f"_{path.stem}_"]
    mirrored = []
    for folder in [module.parent, *module.parent.parents][:-2]:  # not the package's root, which mirrors all of `tests`
        mirrored += sorted((root / "tests" / folder.relative_to("numlstm")).glob("test_*.py"))
    dotted = file.removesuffix(".py").replace("/", ".")
    package, _, name = dotted.rpartition(".")
    imports = re.compile(rf"\b{re.escape(dotted)}\b|^ *from {re.escape(package)} import .*\b{name}\b", re.MULTILINE)
    named.sort(key=lambda path: (path not in mirrored, path.stem != f"test_{stem}"))
    found = [*named, *mirrored]
    found = found or [path for path in tests if imports.search(path.read_text("utf-8"))]
    files = dict.fromkeys(path.relative_to(root).as_posix() for path in found)
    return [each for each in files if each != OWN_TESTS]


class Asked(NamedTuple):
    """Arguments for pytest: options and files; no files means all tests."""

    options: list[str]
    files: list[str]


def asked_in(step: str, near: Sequence[str], near_ran: bool, one: bool) -> Asked:
    """Return pytest's arguments for a step, for one process if `one`; skip the nearest tests if they have run."""
    options = [f"--ignore={OWN_TESTS}", "--hypothesis-seed=0", *(IN_ONE if one else [])]
    options += ["-m", "slow"] if step == "slow" else [f"--timeout={ONE_TEST}"]
    if step == "fast" and near_ran:
        options += [f"--ignore={file}" for file in near]
    return Asked(options, [*near] if step == "near" else [])


def first_failure(copy: Path, asked: Asked, seconds: float, cache: Path) -> str:
    """Return the id of a test that fails in a copy, or in brackets how else pytest failed; "" if all tests pass.

    A test that fails but passes when run alone says nothing about the fault, and is deselected.
    """
    left_out: list[str] = []
    run = functools.partial(run_pytest, copy, seconds=seconds, NUMLSTM_CACHE_DIR=str(cache))
    while True:
        whole = run([*asked.options, *(f"--deselect={test}" for test in left_out), *asked.files])
        if whole.code in (0, 5):  # all tests pass, or none was collected
            return ""
        if whole.code is None:
            return f"(stopped after {seconds:.0f} s)"
        if not whole.failed:
            return f"(pytest ended with {whole.code})"
        if run([*asked.options, *IN_ONE, whole.failed]).code != 0:
            return whole.failed
        left_out.append(whole.failed)


@contextlib.contextmanager
def copied(root: Path, cache: Path) -> Iterator[tuple[Path, Path]]:
    """Context manager: yield a copy of the project at `root`, and its own copy of the kernel cache."""
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "kept").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as folder:
        copy, own = Path(folder) / "project", Path(folder) / "cache"
        copy_project(root, copy)
        # A fault may remove or replace cached files. They are never changed in place, so hard links are enough.
        shutil.copytree(cache / "kept", own, copy_function=os.link)
        yield copy, own


def examine(fault: Fault, steps: Sequence[str], known: Record | None, root: Path, cache: Path, one: bool) -> Record:
    """Run the tests on a fault and return its record. Skips the steps in `known`; `one` means one pytest process."""
    started = time.perf_counter()
    record = {**fault._asdict(), "caught": "", "test": "", "tried": [], "seconds": 0.0, **(known or {})}
    near = near_tests(fault.file, root)
    with copied(root, cache) as (copy, own):
        one_token_faults.plant(fault, copy)
        for step in steps:
            if step in record["tried"]:
                continue
            if near or step != "near":
                asked = asked_in(step, near, "near" in record["tried"], one)
                record["test"] = first_failure(copy, asked, SECONDS[step], own)
            record["tried"] = [*record["tried"], step]
            if record["test"]:
                record["caught"] = step
                break
    record["seconds"] = round(record["seconds"] + time.perf_counter() - started, 1)
    where = record["caught"] and f"{record['caught']}: {record['test']}"
    print(f"{fault.file}:{fault.line}  {fault.new.strip()[:80]}\n    {where or 'survived'}", flush=True)
    return record


def pass_without_fault(steps: Sequence[str], faults: Sequence[Fault], root: Path, cache: Path) -> str:
    """Return "" if the tests pass without a fault, else the one that fails. Fills the kernel cache for the faults."""
    near = sorted({test for fault in faults for test in near_tests(fault.file, root)})
    for step in [step for step in steps if step != "near"] or steps:
        asked = asked_in(step, near, near_ran=False, one=False)
        with copied(root, cache) as (copy, _):
            digest = hashlib.sha256(repr(asked).encode())
            for path in sorted(each for each in copy.rglob("*") if each.name != RESULTS.name):
                digest.update(str(path.relative_to(copy)).encode() + (path.read_bytes() if path.is_file() else b""))
            passed = cache / f"passed-{step}-{digest.hexdigest()[:20]}"
            if passed.exists():
                continue
            print(f"{step}: without a fault", flush=True)
            if failed := first_failure(copy, asked, SECONDS[step], cache / "kept"):
                return failed
            passed.touch()
    return ""


def verdict_on(fault: Fault, records: Sequence[Record]) -> str:
    """Return the verdict on a fault even if its line has moved; "" if there is none or it is ambiguous."""
    same = [each for each in records if (each["file"], each["old"], each["new"]) == (fault.file, fault.old, fault.new)]
    exact = [each for each in same if each["line"] == fault.line]
    found = exact or (same if len(same) == 1 else [])
    return found[0].get("verdict", "") if found else ""


class Results:
    """The records of the faults that the seed chooses, in a file that is rewritten after each fault."""

    def __init__(self, path: Path, faults: Sequence[Fault], seed: int) -> None:
        self.path, self.faults, self.seed = path, faults, seed
        stored = json.loads(path.read_text("utf-8")) if path.exists() else {}
        self.before: list[Record] = stored.get("faults", []) + stored.get("earlier", [])
        known = {Fault(*(each[field] for field in Fault._fields)): each for each in self.before}
        self.records = {fault: known[fault] for fault in faults if fault in known}

    def add(self, fault: Fault, record: Record) -> None:
        """Save the record of a fault, with its earlier verdict if it survived again."""
        record.pop("verdict", None)
        if not record["caught"]:
            record["verdict"] = verdict_on(fault, self.before)
        self.records[fault] = record
        found: dict[str, Any] = {"seed": self.seed, "faults": self.in_order()}
        earlier = [each for each in self.before if each.get("verdict")]
        if earlier and len(self.records) < len(self.faults):  # faults whose line has moved still need their verdicts
            found["earlier"] = earlier
        written = self.path.with_suffix(".tmp")
        written.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        written.replace(self.path)

    def in_order(self) -> list[Record]:
        """Return the records in the order of `faults`."""
        return [self.records[fault] for fault in self.faults if fault in self.records]


def is_harmless(record: Record) -> bool:
    """Return True if the verdict on a fault is that it changes no result."""
    return bool(record.get("verdict", "").startswith(HARMLESS))


def share(records: Sequence[Record]) -> float:
    """Return the share that the fast tests catch, of the examined faults that change a result."""
    seen = [each for each in records if each["caught"] or "fast" in each["tried"]]
    harmful = [each for each in seen if not is_harmless(each)]
    return sum(each["caught"] in ("near", "fast") for each in harmful) / len(harmful) if harmful else 1.0


def table(records: Sequence[Record]) -> str:
    """Return the counts of each area as a Markdown table."""
    lines = [
        "| area | planted | near | fast | slow | survived | of them harmless | share |",
        "|------|--------:|-----:|-----:|-----:|---------:|-----------------:|------:|",
    ]
    for area in [*AREAS, "all"]:
        own = [each for each in records if area in (each["area"], "all")]
        counts = [sum(each["caught"] == step for each in own) for step in (*SECONDS, "")]
        numbers = [len(own), *counts, sum(map(is_harmless, own)), f"{share(own):.0%}"]
        lines += [f"| {area} | {' | '.join(map(str, numbers))} |"] if own else []
    return "\n".join(lines)


def problems(records: Sequence[Record]) -> list[str]:
    """Return the problems of the tests that the records show."""
    found = [f"the fast tests catch {share(records):.0%}"] if share(records) < LEAST else []
    gaps = [each for each in records if not each["caught"] and "slow" in each["tried"] and not is_harmless(each)]
    return found + [f"survived: {each['file']}:{each['line']}: {each['new'].strip()}" for each in gaps]


def examine_all(results: Results, pending: Sequence[Fault], steps: Sequence[str], jobs: int) -> None:
    """Examine faults, `jobs` at a time; with more than one job, each pytest runs in one process."""
    ask = functools.partial(examine, steps=steps, root=ROOT, cache=CACHE, one=jobs > 1)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        asked = {pool.submit(ask, fault, known=results.records.get(fault)): fault for fault in pending}
        try:
            for done in concurrent.futures.as_completed(asked):
                results.add(asked[done], done.result())
        except BaseException:  # including KeyboardInterrupt
            INTERRUPTED.set()
            pool.shutdown(cancel_futures=True)
            raise


def main() -> int:
    """Examine the selected faults and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="seed of the choice of faults (default 1)")
    parser.add_argument("--count", type=int, default=PER_AREA, help=f"faults of each area (default {PER_AREA})")
    parser.add_argument("--only", choices=AREAS, help="examine only the faults of one area")
    parser.add_argument("--first", type=int, help="examine at most so many faults in this run")
    parser.add_argument("--near", action="store_true", help="run only the nearest tests")
    parser.add_argument("--slow", action="store_true", help="run the slow tests on faults that the fast ones miss")
    parser.add_argument("--again", action="store_true", help="examine faults again that already have results")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time (default 2)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="results file (default: mutants.json here)")
    parser.add_argument("--list", action="store_true", help="list the faults and run nothing")
    asked = parser.parse_args()
    faults = one_token_faults.chosen(ROOT, asked.seed, asked.count)
    if asked.list:
        for fault in faults:
            print(f"{fault.area:10}  {fault.file}:{fault.line}\n    - {fault.old.strip()}\n    + {fault.new.strip()}")
        return 0
    steps = ["near"] if asked.near else ["near", "fast", "slow"] if asked.slow else ["near", "fast"]
    results = Results(asked.results, faults, asked.seed)
    pending = [
        fault
        for fault in faults
        if asked.only in (None, fault.area) and (asked.again or _is_open(results.records.get(fault), steps))
    ][: asked.first]
    if asked.again:
        results.records = {fault: record for fault, record in results.records.items() if fault not in pending}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if pending and (failed := pass_without_fault(steps, pending, ROOT, CACHE)):
        print(f"this fails even without a fault: {failed}")
        return 1
    examine_all(results, pending, steps, asked.jobs)
    records = results.in_order()
    unknown = len(faults) - len(records) + sum(_is_open(record, steps) for record in records)
    print(f"\n{table(records)}\n\n{unknown} of {len(faults)} faults are still to be examined")
    found = problems(records)
    print("\n".join(found))
    return 1 if found else 0


def _is_open(record: Record | None, steps: Sequence[str]) -> bool:
    return record is None or (not record["caught"] and not set(steps) <= set(record["tried"]))


if __name__ == "__main__":
    sys.exit(main())

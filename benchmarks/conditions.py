"""Conditions under which the contestants run: busy neighbours, and a limit on the instructions that they may use."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

ISA = {"avx2": {"NUMLSTM_SIMD": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}}
# Keeps a core busy, and ends with the benchmark even if that is killed.
_LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --busy and --isa."""
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="run N processes that keep a core busy each")
    parser.add_argument("--isa", choices=tuple(ISA), help="let all contestants use no more than these instructions")


def variables(isa: str | None) -> dict[str, str]:
    """Return the environment variables that limit numlstm and PyTorch to an instruction set; None: no limit."""
    return ISA[isa] if isa else {}


def variant(args: argparse.Namespace) -> str:
    """Return what the name of the results file says about the conditions, such as `-avx2-busy-1`."""
    return (f"-{args.isa}" if args.isa else "") + (f"-busy-{args.busy}" if args.busy else "")


def limit_this_process(isa: str | None) -> None:
    """Start this script again with the limit in its environment, and exit with its exit code; None: do nothing."""
    limit = variables(isa)
    if not limit.items() <= os.environ.items():
        command = [sys.executable, *sys.orig_argv[1:]]
        raise SystemExit(subprocess.run(command, env={**os.environ, **limit}).returncode)


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run `count` processes that keep a core busy each."""
    with contextlib.ExitStack() as stack:
        processes = []
        for _ in range(count):
            processes.append(stack.enter_context(subprocess.Popen([sys.executable, "-c", _LOOP])))
            stack.callback(processes[-1].kill)
        yield processes

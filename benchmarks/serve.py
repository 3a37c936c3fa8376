"""How fast is text for many clients at once, and how soon do its first characters arrive, compared with one at a time?

`numlstm serve` runs in its own process on 127.0.0.1. The clients, all in this process on the same cores, each request a
streamed text. All requests of a round arrive at the same time. They are answered together, or one after the other: each
starts when the previous answer has ended, as on a server that serves one client at a time. First the texts must be the
same both ways, and the first of them must be the text of `numlstm gen`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from . import pictures
from .contest import divided
from .measure import ROOT, cores, environment, options, spread, write_results

MODEL, PROMPT, TEMPERATURE = "shakespeare", "ROMEO:", 0.8
STREAMS = (1, 10, 100)
TOGETHER, ALONE = "together", "one at a time"


class Heard(NamedTuple):
    """A client's result: the text, the seconds to its first piece, to its end, and between pieces."""

    text: str
    first: float
    whole: float
    gaps: list[float]


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """Context manager: start a server with an empty models folder, wait until it is ready, and yield its port."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "numlstm", "serve", "--models", folder, "--port", "0", "--device", "cpu"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found is None:
                raise RuntimeError(f"the server did not start: {line}{process.stderr.read()[-2000:]}")
            yield int(found[1])
        finally:
            process.terminate()
            process.wait(20)
            process.stderr.close()


def request(seed: int, length: int) -> bytes:
    """Return the HTTP request for one text."""
    asked = {"model": MODEL, "prompt": PROMPT, "max_tokens": length, "temperature": TEMPERATURE, "seed": seed}
    body = json.dumps({**asked, "stream": True}).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(port: int, seed: int, length: int, came: float) -> Heard:
    """Request one text; times are relative to `came`. Raises `RuntimeError` if the text does not have `length`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text, times, other = "", list[float](), b""
    with contextlib.closing(writer):
        writer.write(request(seed, length))
        while line := await reader.readline():
            if not line.startswith(b'data: {"id"'):
                other = line if line.strip() else other
            elif piece := json.loads(line[6:])["choices"][0]["text"]:
                text += piece
                times.append(time.perf_counter())
    await writer.wait_closed()
    if len(text) != length:
        raise RuntimeError(f"{len(text)} characters came, the last line being {other[:300]!r}; expected {length}")
    return Heard(text, times[0] - came, times[-1] - came, [b - a for a, b in itertools.pairwise(times)])


async def crowd(port: int, streams: int, length: int, *, together: bool) -> tuple[float, list[Heard]]:
    """Run `streams` clients that arrive at once; return the seconds until all have their texts, and their results."""
    turns = asyncio.Semaphore(streams if together else 1)
    came = time.perf_counter()

    async def client(seed: int) -> Heard:
        async with turns:
            return await ask(port, seed, length, came)

    heard = await asyncio.gather(*map(client, range(streams)), return_exceptions=True)
    taken = time.perf_counter() - came
    if failed := [each for each in heard if isinstance(each, BaseException)]:
        raise failed[0]
    return taken, [each for each in heard if isinstance(each, Heard)]


def verify(port: int, streams: int, length: int) -> dict[str, Any]:
    """Compare the texts of clients served together with those served one at a time, and with `numlstm gen`.

    Raises `RuntimeError` if any text differs.
    """
    (_, many), (_, each) = (asyncio.run(crowd(port, streams, length, together=way)) for way in (True, False))
    if (differ := sum(a.text != b.text for a, b in zip(many, each, strict=True))) or len({a.text for a in many}) == 1:
        raise RuntimeError(f"{differ} of {streams} texts differ from those written alone; expected none")
    how = ["--device", "cpu", "--temperature", str(TEMPERATURE), "--length", str(length), "--seed", "0"]
    command = [sys.executable, "-m", "numlstm", "gen", MODEL, "--prompt", PROMPT, *how]
    gen = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout
    if gen != PROMPT + many[0].text:
        raise RuntimeError(f"the server writes {many[0].text!r} and gen {gen!r}; expected the same")
    return {"texts": streams, "same_alone_and_together": True, "same_as_gen": True}


def measure(port: int, length: int, rounds: int, alone_rounds: int) -> dict[str, Any]:
    """Time rounds with each number of streams, both ways, in turns."""
    plan = [(n, way) for n in STREAMS for way in (TOGETHER, ALONE)]
    seconds: dict[tuple[int, str], list[float]] = {each: [] for each in plan}
    heard: dict[tuple[int, str], list[Heard]] = {each: [] for each in plan}
    for turn in range(rounds):
        for n, way in plan:
            if way == TOGETHER or turn < alone_rounds:
                taken, texts = asyncio.run(crowd(port, n, length, together=way == TOGETHER))
                seconds[n, way].append(taken)
                heard[n, way] += texts
    return {
        str(n): _told(n, length, {way: (seconds[n, way], heard[n, way]) for way in (TOGETHER, ALONE)}) for n in STREAMS
    }


def _told(streams: int, length: int, ways: dict[str, tuple[list[float], list[Heard]]]) -> dict[str, Any]:
    """Return the figures for one number of streams."""
    found: dict[str, Any] = {}
    for way, (seconds, heard) in ways.items():
        gaps = [gap for each in heard for gap in each.gaps] or [0.0]  # texts in one piece have no gaps
        found[way] = {
            "characters_per_second": spread([streams * length / each for each in seconds]),
            "first_ms": percentiles([each.first for each in heard]),
            "between_ms": percentiles(gaps),
            "whole_ms": percentiles([each.whole for each in heard]),
            "characters_per_piece": round(length / (1 + sum(len(each.gaps) for each in heard) / len(heard)), 1),
        }
    both = [seconds for seconds, _ in ways.values()]
    found["times_as_fast"] = spread(divided(both[1], both[0][: len(both[1])]))
    return found


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the 50th and 99th percentiles (nearest rank) and the maximum, in milliseconds."""
    ordered = sorted(seconds)
    at = {"50": math.ceil(len(ordered) * 0.5) - 1, "99": math.ceil(len(ordered) * 0.99) - 1, "100": -1}
    return {name: round(1000 * ordered[place], 2) for name, place in at.items()}


def report(runs: dict[str, Any]) -> None:
    """Print the figures as a table."""
    print(f"{'':>26}{'characters/s':>14}{'first: 50 %':>14}{'99 %':>9}{'between: 50 %':>16}{'99 %':>9}")
    for streams, ways in runs.items():
        for way in (TOGETHER, ALONE):
            told = ways[way]
            first, gaps = told["first_ms"], told["between_ms"]
            print(
                f"{streams:>5} streams {way:>13}{told['characters_per_second']['median']:>13,.0f}"
                f"{first['50']:>12,.1f} ms{first['99']:>6,.0f} ms{gaps['50']:>13,.1f} ms{gaps['99']:>6,.1f} ms"
            )


def main() -> None:
    """Verify, measure and write the results."""
    parser = options("serve", __doc__)
    parser.add_argument("--length", type=int, default=300, help="characters of each text")
    parser.add_argument("--rounds", type=int, default=7, help="rounds with clients served together")
    parser.add_argument("--alone-rounds", type=int, default=3, help="rounds with clients served one at a time")
    args = parser.parse_args()
    rounds, alone = (1, 1) if args.quick else (args.rounds, args.alone_rounds)
    with serving() as port:
        verification = verify(port, 10 if args.quick else STREAMS[-1], args.length)
        runs = measure(port, args.length, rounds, alone)
    report(runs)
    served = {"model": MODEL, "prompt": PROMPT, "temperature": TEMPERATURE, "characters": args.length}
    results = {"text": served, "cores_for_server_and_clients": cores(), "verification": verification, "runs": runs}
    pictures.draw_if_possible(write_results("serve", args, results))


if __name__ == "__main__":
    main()

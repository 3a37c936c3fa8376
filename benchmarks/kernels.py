"""How fast is each kernel, and what share of the processor's peak does it reach?

Calls every kernel of the shapes in `train.py` through the backend interface, as the network does; those with matrix
products in each precision. First each kernel must agree with the reference in float64. Then it takes turns with
multiply-adds on registers alone (`peak.py`) and, where the processor has tiles, with their products (`tile_peak.py`),
on one thread and on all cores. For a device that queues work, many calls are queued before one wait, so that the
latency of a call is not timed. Ends with a report to paste into an issue.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from numlstm.analysis import device_report
from numlstm.backends import reference, registry
from numlstm.backends.protocol import Backend
from numlstm.errors import BackendError, ConfigError
from numlstm.settings.precision import check_precision

from . import conditions, pictures, tile_peak
from .cases import TOLERANCES, Call, Case, Outputs, cases, largest_error, nothing, wait
from .contest import divided
from .measure import options, spread, thread_counts, threads_in_words, write_results
from .peak import Peak, per_second
from .precisions import FLOAT32, TRAINED
from .shapes import Shape
from .tile_peak import TilePeak
from .train import SHAPES

_PEAK_SHARE = 0.4  # time for measuring the peak, as a share of a kernel's turn
_RESOLUTION = 1e-8  # minimum seconds per call: the difference of two times may be zero or negative


Results = list[dict[str, Any]]
Peaks = dict[str, Peak | TilePeak]  # by the name of their figures in the results


def measure(
    backend: Backend, shape: Shape, precision: str, threads: list[int], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Verify and time the kernels of one shape; return a result for each number of threads."""
    results = [
        {
            "name": shape.name,
            "shape": dataclasses.asdict(shape),
            "device": backend.name,
            "precision": precision,
            "threads": backend.set_threads(each),
            "description": backend.describe(),
            "kernels": {},
        }
        for each in threads
    ]
    peaks = [_peaks(each) if backend.name == "cpu" else {} for each in threads]
    for case in cases(shape, precision):
        expected = case.make(reference, "float64").run_once()
        for result, own in zip(results, peaks, strict=True):
            backend.set_threads(result["threads"])
            result["kernels"][case.name] = _measured(backend, case, expected, own, rounds, seconds)
    return results


def _peaks(threads: int) -> Peaks:
    """Return what to measure beside the kernels: multiply-adds and, where the processor has them, tiles."""
    return {"peak": Peak(threads), **({} if tile_peak.missing() else {"tile_peak": TilePeak(threads)})}


def _measured(
    backend: Backend, case: Case, expected: Outputs, peaks: Peaks, rounds: int, seconds: float
) -> dict[str, Any]:
    call = case.make(backend, "float32")
    error = largest_error(backend, call.run_once(), expected)
    each: list[float] = []
    measured: dict[str, list[float]] = {name: [] for name in peaks if case.flop}
    for _ in range(rounds):
        each.append((queued_seconds if backend.queued else _seconds)(backend, call, seconds))
        for name, rates in measured.items():
            rates.append(per_second(peaks[name].work, _PEAK_SHARE * seconds))
    return {"largest_error": float(f"{error:.2g}"), **_rates(case, each, measured)}


def _seconds(backend: Backend, call: Call, seconds: float) -> float:
    """Call for at least `seconds`, not counting preparation; return the seconds per call."""
    calls, spent = 0, 0.0
    while spent < seconds:
        call.prepare()
        started = time.perf_counter()
        call.run()
        spent += time.perf_counter() - started
        calls += 1
    return spent / calls


def queued_seconds(backend: Backend, call: Call, seconds: float) -> float:
    """Queue calls for at least `seconds`, wait once for all of them, and return the seconds per call.

    Preparation is queued between the calls; its time, measured without them, is subtracted.
    """
    calls = 1
    while True:
        whole = _until_done(backend, calls, lambda: call.run_once())
        if whole >= seconds:
            break
        calls *= 2
    if call.prepare is not nothing:
        whole -= _until_done(backend, calls, call.prepare)
    return max(whole, _RESOLUTION * calls) / calls


def _until_done(backend: Backend, calls: int, work: Callable[[], object]) -> float:
    wait(backend)  # for earlier work
    started = time.perf_counter()
    for _ in range(calls):
        work()
    wait(backend)
    return time.perf_counter() - started


def _rates(case: Case, seconds: list[float], peaks: dict[str, list[float]]) -> dict[str, Any]:
    """Return the figures that are informative for this kernel."""
    found: dict[str, Any] = {"seconds": spread(seconds)}
    if case.flop:
        found["gflop_per_second"] = spread([case.flop / each / 1e9 for each in seconds])
    for name, rates in peaks.items():
        found[f"{name}_gflop_per_second"] = spread([each / 1e9 for each in rates])
        found[f"share_of_{name}"] = spread(divided([case.flop / each for each in seconds], rates))
    if case.moved:
        found["gb_per_second"] = spread([case.moved / each / 1e9 for each in seconds])
        found["nanoseconds_per_element"] = spread([1e9 * each / case.elements for each in seconds])
    if case.characters:
        found["characters_per_second"] = spread([case.characters / each for each in seconds])
    return found


def _show(result: dict[str, Any]) -> None:
    where = f"{result['name']:<17}{result['device']}, {threads_in_words(result['threads']):<11}{result['precision']:<8}"
    for name, kernel in result["kernels"].items():
        median = {key: value["median"] for key, value in kernel.items() if isinstance(value, dict)}
        line = f"{1e6 * median['seconds']:12,.0f} us"
        if "gflop_per_second" in median:
            line += f"{median['gflop_per_second']:8.1f} GFLOP/s"
        if "share_of_peak" in median:
            line += f"{median['share_of_peak']:7.1%} of peak"
        if "share_of_tile_peak" in median:
            line += f"{median['share_of_tile_peak']:7.1%} of tiles"
        if "gb_per_second" in median:
            line += f"{median['gb_per_second']:8.1f} GB/s   {median['nanoseconds_per_element']:7.3f} ns each"
        if "characters_per_second" in median:
            line += f"{median['characters_per_second']:11,.0f} characters/s"
        print(f"{where}{name:<28}{line}", flush=True)


def _in(result: dict[str, Any]) -> str:
    return "" if result["precision"] == FLOAT32 else f", {result['precision']}"


def report_of(backend: Backend, results: list[dict[str, Any]]) -> str:
    """Return a report to paste into an issue: the device, the versions, the largest errors and the median times."""
    kernels = [(name + _in(result), kernel) for result in results for name, kernel in result["kernels"].items()]
    errors = device_report.worst((name, kernel["largest_error"]) for name, kernel in kernels)
    times = {
        f"us, {result['name']}, {threads_in_words(result['threads'])}{_in(result)}": ", ".join(
            f"{name.replace(',', '')} {1e6 * kernel['seconds']['median']:.3g}"
            for name, kernel in result["kernels"].items()
        )
        for result in results
    }
    return device_report.as_text(device_report.facts(backend, errors, times))


def measure_device(
    device: str, shapes: Sequence[Shape], rounds: int, seconds: float, absent: dict[str, str]
) -> Results:
    """Measure and show all shapes in every precision; add to `absent` why a device or a precision is left out."""
    results: Results = []
    try:
        backend = registry.load(device)
    except BackendError as error:
        _leave_out(device, error, absent)
        return results
    threads = thread_counts() if device == "cpu" else [1]
    for precision in TRAINED:
        try:
            check_precision(precision)
            for shape in shapes:
                measured = measure(backend, shape, precision, threads, rounds, seconds)
                results += measured
                for result in measured:
                    _show(result)
        except (BackendError, ConfigError) as error:
            _leave_out(f"{device} {precision}", error, absent)
    return results


def _leave_out(name: str, error: Exception, absent: dict[str, str]) -> None:
    absent[name] = str(error)
    print(f"{name} is left out: {error}")


def main() -> None:
    parser = options("kernels", __doc__)
    parser.add_argument("--device", default="cpu", help="backends, separated by commas (default: cpu)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each kernel")
    parser.add_argument("--seconds", type=float, default=0.1, help="minimum seconds of a turn")
    conditions.add_options(parser)
    args = parser.parse_args()
    conditions.limit_this_process(args.isa)
    chosen: tuple[Shape, ...] = SHAPES
    if args.quick:
        chosen, args.rounds, args.seconds = SHAPES[:1], 2, 0.005
    results: Results = []
    absent: dict[str, str] = {}
    reports: list[str] = []
    with conditions.neighbours(args.busy):
        for device in args.device.split(","):
            own = measure_device(device, chosen, args.rounds, args.seconds, absent)
            results += own
            if own:
                reports.append(report_of(registry.load(device), own))
    for each in reports:
        print(f"\n{each}")
    wrong = far_off(results)
    if wrong:  # the speed of a wrong result means nothing: write no results, but the report above is worth an issue
        raise SystemExit(f"too far from the reference: {', '.join(wrong)}")
    if results:
        found = {"tolerances": TOLERANCES, "absent": absent, "results": results}
        pictures.draw_if_possible(write_results("kernels", args, found, conditions.variant(args)))


def far_off(results: list[dict[str, Any]]) -> list[str]:
    """Return the kernels that differ from the reference by more than their tolerance, or by NaN."""
    return [
        f"{name}{_in(result)} of {result['name']} on {result['device']} by {kernel['largest_error']:.2g}"
        for result in results
        for name, kernel in result["kernels"].items()
        if not kernel["largest_error"] <= TOLERANCES[result["precision"]]
    ]


if __name__ == "__main__":
    main()

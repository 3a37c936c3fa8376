"""The worker process of a training job. It saves and stops by itself when the server is gone.

    python -m numlstm.serve.jobs.worker FOLDER LOCK

The first line of stdin is an `Order` as JSON. After that, the line "stop" or the end of stdin saves the run and stops
it after the current step; stdin ends even if the server is killed with `kill -9`. The process works in FOLDER and holds
the lock LOCK. Its priority is low, because the server writes texts meanwhile. At the end it writes JSON to stdout: null
on success, else the error's `type` and `message`. Everything printed goes to stderr.
"""

from __future__ import annotations

import _thread
import contextlib
import io
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from ...errors import CorpusError, NumlstmError
from ...training.entry_points import new_run, resume_run
from ...training.run import Run
from ...training.stopping import Stop, stop_asked
from . import lock
from .process import Order

DONE, FAILED, STOPPED = 0, 1, 130  # exit codes
_NICE = 10


def main() -> None:
    """Run the order on stdin and exit with code 0 (done or out of time), 1 (error) or 130 (stopped)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server may have been started with SIGINT ignored
    report, sys.stdout = sys.stdout, sys.stderr
    error: dict[str, str] | None = None
    try:
        code = _run(*sys.argv[1:3])
    except KeyboardInterrupt:
        code = STOPPED
    except NumlstmError as found:
        code, error = FAILED, {"type": type(found).__name__, "message": str(found)}
        _print(str(found))
    except Exception as found:
        code = FAILED
        message = f"the training failed ({type(found).__name__}); see errors.txt in the job's folder"
        error = {"type": type(found).__name__, "message": message}
        _print(traceback.format_exc())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the report is left
    with contextlib.suppress(OSError):  # the server may be gone
        report.buffer.write(json.dumps(error).encode())
        report.flush()
    os._exit(code)  # no file is open, and no thread needs to finish


def _run(folder: str, lock_path: str) -> int:
    control = io.FileIO(0, closefd=False)  # unbuffered: a thread would hold the buffer's lock at exit
    order: Order | None = json.loads(control.readline() or b"null")
    if not order:  # the server was gone before it sent the order
        return STOPPED
    if hasattr(os, "nice"):
        os.nice(_NICE)
    os.chdir(folder)
    with lock.holding(Path(lock_path)), contextlib.ExitStack() as opened, stop_asked() as stop:
        threading.Thread(target=_stop_on_request, args=(control,), daemon=True).start()
        if order["text"] is not None:
            sys.stdin = opened.enter_context(_text(order["text"]))
        stop.at_once = True
        run = _begun(order)
        stop.at_once = False
        return _trained(run, stop)


def _begun(order: Order) -> Run:
    if order["resume"] is not None:
        return resume_run(order["resume"], order["corpus"], **order["settings"])
    return new_run(order["corpus"], **order["settings"])


def _trained(run: Run, stop: Stop) -> int:
    run.warn = _print
    for note in run.notes:
        _print(note)
    for _ in run.events(stop):
        pass
    return STOPPED if stop.by_user and not run.finished else DONE


def _print(line: str) -> None:
    """Write a line to stderr, which is errors.txt. A full disk is ignored."""
    data = f"{line}\n".encode("utf-8", "backslashreplace")
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(2, data) :]


def _text(path: str) -> Any:
    try:
        return open(path, encoding="utf-8")
    except OSError as error:
        raise CorpusError(f"the job's text cannot be read: {error.strerror or error}; create a new job") from None


def _stop_on_request(control: io.FileIO) -> None:
    while (line := control.readline()).strip() != b"stop" and line:
        pass
    _thread.interrupt_main(signal.SIGINT)


if __name__ == "__main__":
    main()

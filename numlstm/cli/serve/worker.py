"""A training run for the server: `numlstm train` in a process of its own, which ends well when the server is gone.

    python -m numlstm.cli.serve.worker FOLDER LOCK

The first line of stdin is JSON: `argv`, what would follow `numlstm` on the command line, and `text`, the file that `-`
then reads, or null. After it, a line "stop" or the end, which comes even by `kill -9`, stops the run as Ctrl-C does:
after the step under way, saved. All is done in FOLDER, under the lock LOCK, and with a low priority, for texts are
written meanwhile. What the run prints goes to stderr; the last line of it goes to stdout at the end.
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
from typing import TextIO

from ...errors import CorpusError
from ...serve.jobs import lock
from .. import main as command_line

_NICE = 10
_KEPT = 4000  # characters of what was printed, to find the last line in
_FRAME = " \t│╭╮╰╯─"  # what usage errors are printed in


def main() -> None:
    """Run what stdin says and exit as it does: 0 done or out of time, 1 an error, 130 stopped."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the server may have had it ignored
    report, printed = sys.stdout, Printed()
    sys.stdout = sys.stderr = printed
    try:
        code = _run(*sys.argv[1:3])
    except KeyboardInterrupt:
        code = 130
    except CorpusError as error:
        print(error, file=printed)
        code = 1
    except Exception as error:
        traceback.print_exc()
        print(f"the training failed ({type(error).__name__}); errors.txt in the job's folder says where", file=printed)
        code = 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left is to say so
    with contextlib.suppress(OSError):  # the server may be gone
        report.buffer.write(printed.last_line().encode("utf-8", "replace"))
        report.flush()
    os._exit(code)  # nothing is open, and no thread is worth waiting for


class Printed(io.TextIOBase):
    """Stands for stderr, and remembers the end of it; a full disk does not matter to whoever prints."""

    def __init__(self) -> None:
        self.end = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.end = (self.end + text)[-_KEPT:]
        data = text.encode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(2, data) :]
        return len(text)

    def last_line(self) -> str:
        """Return the last line that says something, without the frame of a usage error and the program's name."""
        lines = [line.strip(_FRAME) for line in self.end.splitlines()]
        said = [line for line in lines if any(map(str.isalnum, line))]
        return said[-1].removeprefix("numlstm: ") if said else ""


def _run(folder: str, lock_path: str) -> int:
    control = io.FileIO(0, closefd=False)  # no buffer, which a thread would hold when the process ends
    told = json.loads(control.readline() or b"{}")
    if not told:  # the server was gone before it said anything
        return 130
    threading.Thread(target=_stop_when_told, args=(control,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    os.chdir(folder)
    with lock.holding(Path(lock_path)), contextlib.ExitStack() as opened:
        if told["text"] is not None:
            sys.stdin = opened.enter_context(_text(told["text"]))
        sys.argv = ["numlstm", *told["argv"]]
        try:
            command_line()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _text(path: str) -> TextIO:
    try:
        return open(path, encoding="utf-8")
    except OSError as error:
        raise CorpusError(f"the job's text cannot be read: {error.strerror or error}; begin another job") from None


def _stop_when_told(control: io.FileIO) -> None:
    while (line := control.readline()).strip() != b"stop" and line:
        pass
    _thread.interrupt_main(signal.SIGINT)


if __name__ == "__main__":
    main()

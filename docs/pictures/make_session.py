"""Record the README's terminal session: `python docs/pictures/make_session.py` writes `session.svg` beside this file.

Types the commands into a terminal, as a reader would, and draws the screen over time as an animated SVG.
Waiting is shortened, and a clock in the corner shows the real time. Without animation, or if the reader prefers reduced
motion, the picture shows the last screen. Needs `pyte` (`pip install pyte`), a terminal emulator, and Linux
or macOS.
"""

from __future__ import annotations

import dataclasses
import os
import pty
import select
import sys
import tempfile
import time
from html import escape
from pathlib import Path

import pyte

HERE = Path(__file__).resolve().parent
COMMANDS = (
    "numlstm train tales --epochs 8 --sample-length 0",
    'numlstm gen weights.npz --prompt "Once " --length 300 --temperature 0.4 --seed 3',
)
COLUMNS, ROWS = 104, 20
_LONGEST_WAIT = 0.12  # seconds of animation between two pictures of the screen, however long the real time
_EVERY = 0.5  # real seconds between two pictures
_TYPING = 0.04  # seconds per character
_END = 6.0  # seconds that the last screen stays
_WIDTH, _HEIGHT, _MARGIN = 8.43, 19, 18  # pixels: character width, line height, margin


@dataclasses.dataclass(frozen=True)
class Picture:
    """The screen from time `at` of the animation on; `clock` is the real time, both in seconds."""

    at: float
    clock: float
    lines: tuple[str, ...]


def record(commands: tuple[str, ...], folder: Path) -> list[Picture]:
    """Type and run the commands in turn on one screen; return the pictures."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    pictures: list[Picture] = []
    began, at = time.monotonic(), 0.0

    def picture(after: float) -> None:
        nonlocal at
        at += after
        lines = tuple(line.rstrip() for line in screen.display)
        if not pictures or pictures[-1].lines != lines:
            pictures.append(Picture(at, time.monotonic() - began, lines))

    for command in commands:
        stream.feed(b"$ ")
        for character in command:
            stream.feed(character.encode())
            picture(_TYPING)
        picture(0.5)
        stream.feed(b"\r\n")
        for output in _run(command, folder):
            stream.feed(output)
            picture(_LONGEST_WAIT)
    return pictures


def _run(command: str, folder: Path):  # type: ignore[no-untyped-def]
    """Yield a command's terminal output in pieces of at least `_EVERY` seconds."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ.update(COLUMNS=str(COLUMNS), LINES=str(ROWS), TERM="xterm-256color", NO_COLOR="1")
        words = command.replace("numlstm", f"{sys.executable} -m numlstm", 1)
        os.execvp("sh", ["sh", "-c", f"stty cols {COLUMNS} rows {ROWS}; exec {words}"])
    pending, since = b"", time.monotonic()
    try:
        while True:
            ready, _, _ = select.select([terminal], [], [], 0.05)
            if ready:
                try:
                    read = os.read(terminal, 65536)
                except OSError:  # raised by Linux when the other end is closed
                    read = b""
                if not read:
                    break
                pending += read
            if pending and time.monotonic() - since > _EVERY:
                yield pending
                pending, since = b"", time.monotonic()
        yield pending
    finally:
        os.close(terminal)
        if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
            raise RuntimeError(f"{command} failed")


def drawn(pictures: list[Picture]) -> str:
    """Return the pictures as an animated SVG that shows each line of text as long as it is on the screen."""
    end = pictures[-1].at + _END
    width, height = COLUMNS * _WIDTH + 2 * _MARGIN, ROWS * _HEIGHT + 2 * _MARGIN + 26
    texts, styles = [], []

    def show(text: str, x: float, y: float, name: str, begin: float, until: float, extra: str = "") -> None:
        last = until >= end
        classes = f"{extra} n{len(styles)}".strip()
        first, after = 100 * begin / end, 100 * until / end
        hidden = "opacity:0" if not last else "opacity:1"
        frames = f"0%,{max(0, first - 0.001):.3f}%{{opacity:0}}{first:.3f}%,{min(after, 100):.3f}%{{opacity:1}}"
        frames += "" if last else f"{min(after + 0.001, 100):.3f}%,100%{{opacity:0}}"
        styles.append(f".n{len(styles)}{{{hidden};animation-name:{name}}}@keyframes {name}{{{frames}}}")
        texts.append(f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>')

    for row in range(ROWS):
        begin, now = 0.0, ""
        for picture in [*pictures, None]:
            line = picture.lines[row] if picture else None
            if line != now:
                moment = picture.at if picture else end
                if now:
                    y = _MARGIN + 26 + (row + 0.8) * _HEIGHT
                    show(now, _MARGIN, y, f"k{len(styles)}", begin, moment, "p" if now.startswith("$ ") else "")
                begin, now = moment, line or ""
    seconds = sorted({int(each.clock) for each in pictures})
    starts = [next(each.at for each in pictures if int(each.clock) >= second) for second in seconds]
    for second, start, until in zip(seconds, starts, [*starts[1:], end], strict=True):
        show(f"{second} s", width - _MARGIN, _MARGIN + 6, f"k{len(styles)}", start, until, "c")
    dots = "".join(f'<circle cx="{_MARGIN + 4 + 20 * n}" cy="{_MARGIN}" r="6" fill="{colour}"/>'
                   for n, colour in enumerate(("#e06c60", "#e2b650", "#6fae5f")))  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        'aria-label="A terminal: numlstm trains on the tales that ship with it, then writes new text">'
        "<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#e6e9e4;"
        f"white-space:pre;animation:{end:.2f}s linear infinite}}.p{{fill:#8fd0c4}}.c{{fill:#8a938c;text-anchor:end}}"
        f"{''.join(styles)}@media(prefers-reduced-motion:reduce){{text{{animation:none}}}}</style>"
        f'<rect width="100%" height="100%" rx="10" fill="#161a18"/>{dots}{"".join(texts)}</svg>\n'
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        (HERE / "session.svg").write_text(drawn(record(COMMANDS, Path(name))), "utf-8", newline="\n")


if __name__ == "__main__":
    main()

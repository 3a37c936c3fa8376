"""The lines of a log as they are added, whole ones only: a line that is still being written, or was torn, waits.

Knows nothing about what the lines say.
"""

from __future__ import annotations

from pathlib import Path

Line = tuple[int, bytes]  # where it ends in the file, and what it says

CHUNK = 1 << 16


class Tail:
    """What was added to a file after `position`, a number of bytes; the file need not be there yet.

    A position within a line stands for the end of that line.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        self.path, self.position = path, position
        self._sure = position == 0  # that a line begins there

    def lines(self, size: int = CHUNK) -> list[Line]:
        """Return the next lines, about `size` bytes of them; none if nothing was added."""
        try:
            with open(self.path, "rb") as file:
                if not self._sure:
                    file.seek(self.position - 1)
                    data = file.read(1)
                    self._sure = data == b"\n"
                    if data and not self._sure:
                        self.position += len(file.readline())
                        self._sure = True
                file.seek(self.position)
                data = file.read(size)
                if b"\n" not in data and len(data) == size:
                    data += file.readline()
        except OSError:
            return []
        found = []
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            self.position += len(line)
            found.append((self.position, line))
        return found

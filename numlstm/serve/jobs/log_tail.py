"""Reads lines as they are added to a log. Only complete lines are returned; a partly written line waits."""

from __future__ import annotations

from pathlib import Path

Line = tuple[int, bytes]  # the byte position where it ends in the file, and its bytes

CHUNK = 1 << 16


class Tail:
    """The lines added to a file after `position`, in bytes. The file need not exist yet.

    A position inside a line counts as the end of that line.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        self.path, self.position = path, position
        self._sure = position == 0  # True once a line is known to begin there

    def lines(self, size: int = CHUNK) -> list[Line]:
        """Return the next lines, about `size` bytes of them, or an empty list if nothing was added."""
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

"""End a streamed text before the first stop text, however the stream is split into pieces."""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """Passes on a text in pieces, holding back what may be the beginning of a stop text."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops, self.held = stops, ""

    def feed(self, piece: str) -> tuple[str, bool]:
        """Return the text that is certain to come before any stop, and True if a stop was reached."""
        text = self.held + piece
        places = [(text.find(stop) + len(stop), text.find(stop)) for stop in self.stops if stop in text]
        if places:  # the stop that is complete first, then the longest: independent of the split into pieces
            self.held = ""
            return text[: min(places)[1]], True
        kept = max((_overlap(text, stop) for stop in self.stops), default=0)
        self.held = text[len(text) - kept :]
        return text[: len(text) - kept], False

    def end(self) -> str:
        """End the text; return what was held back."""
        held, self.held = self.held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest proper prefix of `stop` that `text` ends with."""
    most = min(len(text), len(stop) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(stop[:n])), 0)

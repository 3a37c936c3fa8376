"""Ends a text before the first of some texts that it comes to, however the pieces are cut that it comes in.

Knows nothing about tokens.
"""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """Hands on a text in pieces, holding back what may turn out to be the beginning of one that ends it."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops, self.held = stops, ""

    def feed(self, piece: str) -> tuple[str, bool]:
        """Return what is certain to belong to the text, and whether it is at its end."""
        text = self.held + piece
        places = [(text.find(stop) + len(stop), text.find(stop)) for stop in self.stops if stop in text]
        if places:  # the one that is complete first, of several the longest: then no cut into pieces matters
            self.held = ""
            return text[: min(places)[1]], True
        kept = max((_overlap(text, stop) for stop in self.stops), default=0)
        self.held = text[len(text) - kept :]
        return text[: len(text) - kept], False

    def end(self) -> str:
        """Return what was held back, now that nothing follows."""
        held, self.held = self.held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the text's end are the first ones of `stop`, which is longer."""
    most = min(len(text), len(stop) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(stop[:n])), 0)

"""Machine-readable output of `numlstm score`: the log-probability of each token, as JSON or CSV.

Output is written while the text is read, so memory use does not grow with its length.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from typing import Protocol

from ...analysis.score import Scores, Totals
from ...network.loss_units import bits, perplexity
from ...text.dataset.corpus import Corpus
from ...text.vocab import display


class Table(Protocol):
    """Writes the scores of a text, passed in order."""

    def add(self, found: Scores) -> None: ...

    def end(self, totals: Totals) -> None: ...


class _Tokens:
    """Yields each token's place, id, text, log-probability and rank; the last two are None for the first token."""

    def __init__(self, text: Corpus) -> None:
        self.text = text
        self.decoder = text.vocab.decoder()

    def first(self) -> tuple[int, int, str, None, None]:
        return 0, int(self.text.ids[0]), self._pieces(0, 1)[0], None, None

    def rest(self, found: Scores) -> Iterator[tuple[int, int, str, float, int]]:
        for n, piece in enumerate(self._pieces(found.first, found.first + len(found.ranks))):
            token = int(self.text.ids[found.first + n])
            yield found.first + n, token, piece, float(found.log_probabilities[n]), int(found.ranks[n])

    def _pieces(self, first: int, end: int) -> list[str]:
        return display.pieces(self.text.vocab, self.decoder, self.text.ids[first:end])


class Json:
    """One JSON object with the tokens, then the totals. The tokens' `text` fields join to the whole text."""

    def __init__(self, text: Corpus) -> None:
        self.text, self.tokens = text, _Tokens(text)
        sys.stdout.write(f'{{"level": {json.dumps(text.vocab.level)}, "tokens": [')
        self._write(*self.tokens.first(), "\n")

    def add(self, found: Scores) -> None:
        for token in self.tokens.rest(found):
            self._write(*token, ",\n")

    def end(self, totals: Totals) -> None:
        nats = totals.nats / totals.tokens
        found = {
            "predicted": totals.tokens,
            "nats": totals.nats,
            "nats_per_token": nats,
            "bits_per_token": bits(nats),
            "perplexity": perplexity(nats),
            "likeliest": totals.first,
            "among_five": totals.among_five,
            "sources": list(self.text.sources),
            "dropped": self.text.dropped,
            "unknown": self.text.unknown,
        }
        print("\n], " + json.dumps(found, allow_nan=False)[1:])

    def _write(self, place: int, token: int, piece: str, log: float | None, rank: int | None, between: str) -> None:
        found = {"id": token, "text": piece, "log_probability": log, "rank": rank}
        sys.stdout.write(between + json.dumps(found, allow_nan=False))


class Csv:
    """A CSV table in UTF-8: a header, then a line per token."""

    def __init__(self, text: Corpus) -> None:
        if hasattr(sys.stdout, "reconfigure") and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")
        self.tokens = _Tokens(text)
        self.out = csv.writer(sys.stdout, lineterminator="\n")
        self.out.writerow(("place", "id", "text", "log_probability", "rank"))
        self.out.writerow(self.tokens.first())

    def add(self, found: Scores) -> None:
        self.out.writerows(self.tokens.rest(found))

    def end(self, totals: Totals) -> None:
        """Do nothing: the CSV table has no totals."""

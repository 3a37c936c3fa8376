"""Write a page that colours a text by its surprise under a network: one self-contained HTML file.

Everything from the text is escaped, and the script only writes text nodes. Colours get darker with the surprise, or
lighter on a dark page, so they can be told apart without seeing hues.
"""

from __future__ import annotations

import dataclasses
import html
import importlib.resources
import itertools
import json
import math
import string
from collections.abc import Sequence

import numpy as np

from ..network.loss_units import bits
from ..text.dataset.streams import AnyIds
from ..text.vocab import display
from ..text.vocab.base import Vocab
from .score import Place, Scores, Totals

MOST = 50_000  # tokens on a page; a browser takes a few seconds to show that many
ALTERNATIVES = 5
STEPS = (1, 2, 3, 4, 6, 8, 11)  # bits at which the next colour begins
_MUCH = 6  # bits from which the up and down arrow keys stop at a token


@dataclasses.dataclass(frozen=True)
class Row:
    """A surprising place formatted for display, with the text around it.

    `at` is its index in the text, `label` the name of its token, and `likelier` lists the alternatives.
    """

    at: int
    where: str
    bits: float
    probability: str
    before: str
    label: str
    after: str
    likelier: str


class Tokens:
    """Collects the page's data on the first `most` tokens of a text; `add` takes the scores in order."""

    def __init__(self, vocab: Vocab, ids: AnyIds, most: int = MOST) -> None:
        self.vocab, self.ids = vocab, ids[:most]
        self._rows: list[list[int]] = []
        self._labels: dict[int, int] = {}
        if len(self.ids):
            self._rows.append([self._label(int(self.ids[0]))])

    def add(self, found: Scores) -> None:
        for n in range(min(len(found.ranks), len(self.ids) - found.first)):
            told = [
                self._label(int(self.ids[found.first + n])),
                _milli(found.log_probabilities[n]),
                int(found.ranks[n]),
            ]
            for token, log in zip(found.likeliest[n].tolist(), found.likeliest_logs[n], strict=True):
                told += [self._label(token), _milli(log)]
            self._rows.append(told)

    def _label(self, token: int) -> int:
        return self._labels.setdefault(token, len(self._labels))

    def labels(self) -> list[str]:
        """Return the token names in order of their numbers on this page."""
        return [display.label(self.vocab, token) for token in self._labels]

    def units(self) -> list[tuple[str, list[list[int]]]]:
        """Return each displayable piece of text with the data of its tokens."""
        found, at = [], 0
        for text, count in display.grouped(display.pieces(self.vocab, self.vocab.decoder(), self.ids)):
            found.append((text, self._rows[at : at + count]))
            at += count
        return found


def page(title: str, tokens: Tokens, totals: Totals, rows: Sequence[Row]) -> str:
    """Return the page. `totals` and `rows` cover the whole text; the page shows only its first tokens, `tokens`."""
    units, unit = tokens.units(), tokens.vocab.unit
    data = {"labels": tokens.labels(), "tokens": [told for _, told in units], "much": _MUCH}
    wanted = {row.at for row in rows}
    source = importlib.resources.files(__package__).joinpath("surprise.html").read_text("utf-8")
    return string.Template(source).substitute(
        title=html.escape(title),
        facts=_facts(totals, unit),
        unit=unit,
        legend="\n".join(_legend()),
        text=_coloured(units, wanted),
        cut=_cut(len(tokens.ids), totals.tokens + 1, unit),
        places="\n".join(_row(row, len(tokens.ids)) for row in rows),
        plain=html.escape(display.visible("".join(text for text, _ in units))),
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    )


def chance(log_probability: float) -> str:
    """Format a probability: in percent, or as "1 in N" if small."""
    share = 100 * math.exp(log_probability)
    if share >= 0.1:
        return f"{share:.0f} %" if share >= 9.95 else f"{share:.1f} %"
    odds = math.exp(min(-log_probability, 700))
    return f"1 in {odds:,.0f}" if odds < 1e9 else f"1 in {odds:.0e}"


def likelier(vocab: Vocab, place: Place, most: int = 3) -> str:
    """Format the names and probabilities of up to `most` tokens that were likelier than the actual one."""
    pairs = zip(place.likeliest[: min(most, place.rank)], place.likeliest_logs, strict=False)
    return ", ".join(f"{display.label(vocab, token)} {chance(log)}" for token, log in pairs)


def _facts(totals: Totals, unit: str) -> str:
    nats = totals.nats / totals.tokens
    return (
        f"<p>{totals.tokens:,} {unit}s predicted: {nats:.4f} nats or {bits(nats):.4f} bits each, perplexity "
        f"{math.exp(min(nats, 700)):.3f}. {totals.first / totals.tokens:.1%} were the likeliest one, "
        f"{totals.among_five / totals.tokens:.1%} among the five likeliest.</p>"
    )


def _legend() -> list[str]:
    told = [f"below {STEPS[0]} bit: likelier than 1 in {2 ** STEPS[0]}"]
    told += [f"{low}–{high}: to 1 in {2**high:,}" for low, high in itertools.pairwise(STEPS)]
    told.append(f"{STEPS[-1]} and more: rarer")
    return [f'<li class="s{step}">{text}</li>' for step, text in enumerate(told)]


def _coloured(units: Sequence[tuple[str, list[list[int]]]], wanted: set[int]) -> str:
    parts, at = [], 0
    for text, told in units:
        surprise = sum(token[1] for token in told if len(token) > 1) / 1000
        step = int(np.searchsorted(STEPS, bits(surprise), side="right"))
        anchor = "".join(f' id="t{place}"' for place in range(at, at + len(told)) if place in wanted)
        parts.append(f'<i class="s{step}"{anchor}>{_seen(text)}</i>')
        at += len(told)
    return "".join(parts)


def _seen(text: str) -> str:
    """Return a unit's text as HTML, with visible signs for tabs, line breaks and empty text."""
    signed = html.escape(display.visible(text)).replace("\t", "<u>⇥</u>\t")
    return signed.replace("\n", '<u aria-hidden="true">↵</u>\n') or "<u>·</u>"


def _cut(given: int, whole: int, unit: str) -> str:
    if given >= whole:
        return ""
    return f'<p class="dim">The first {given:,} of {whole:,} {unit}s are shown; the figures are of all.</p>'


def _row(row: Row, given: int) -> str:
    where = html.escape(row.where)
    if row.at < given:
        where = f'<a href="#t{row.at}">{where}</a>'
    before, label, after, likelier = (
        html.escape(display.visible(each)) for each in (row.before, row.label, row.after, row.likelier)
    )
    return (
        f'<tr><td class="n">{where}</td><td class="n">{row.bits:.1f}</td><td class="n">{row.probability}</td>'
        f'<td class="context">{before}<mark>{label}</mark>{after}</td><td>{likelier}</td></tr>'
    )


def _milli(log_probability: float) -> int:
    """Return a log-probability as a surprise in thousandths of a nat."""
    return round(-1000 * float(log_probability))

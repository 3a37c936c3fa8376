"""The page shows each token's scores, and none of the text becomes markup or script."""

from __future__ import annotations

import html.parser
import json
import math
import re
from typing import Any

import numpy as np
import pytest

from numlstm.analysis import score
from numlstm.analysis.score_page import STEPS, Row, Tokens, chance, likelier, page
from numlstm.model import Model
from numlstm.text.vocab.base import Vocab
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.char import CharVocab

TEXT = "</script><b>&amp;'\"\n\tx\u202ey</div><i>" * 3


class Reader(html.parser.HTMLParser):
    """Collects what a browser would parse: tags, the text of each coloured span, the script's data."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[dict[str, str | None]] = []
        self.spans: list[tuple[str, str]] = []
        self.data = ""
        self.plain = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link", "br"):
            self.open.append({"tag": tag, **dict(attrs)})
        if tag == "i":
            self.spans.append((dict(attrs)["class"] or "", ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data: str) -> None:
        inside = [each["tag"] for each in self.open]
        if inside and self.open[-1].get("id") == "data":
            self.data += data
        elif "i" in inside and "u" not in inside:
            style, text = self.spans.pop()
            self.spans.append((style, text + data))
        elif "details" in inside and inside[-1] == "p":
            self.plain += data


def made(vocab: Vocab, text: str, most: int = 1000, alternatives: int = 2) -> tuple[Reader, Any, list[score.Scores]]:
    ids = vocab.encode(text)
    model = Model.create(len(vocab), (5,), seed=1, device="reference", vocab=vocab)
    model.set_params({name: 40 * value for name, value in model.params.items()})
    tokens, totals = Tokens(vocab, ids, most), score.Totals()
    found = list(score.scores(model, ids, alternatives=alternatives))
    for each in found:
        tokens.add(each)
        totals.add(each)
    rows = [Row(at, str(at), 9.5, "1 %", "<b", "<u>", "a\u202e", "& 5 %") for at in (1, 20, 500)]
    reader = Reader()
    reader.feed(page("<title> & 'quotes'", tokens, totals, rows))
    assert reader.open == []
    return reader, json.loads(reader.data), found


def test_spans_are_the_text_and_data_the_scores() -> None:
    vocab = CharVocab.from_text(TEXT)
    reader, data, found = made(vocab, TEXT)
    assert "".join(text for _, text in reader.spans) == TEXT.replace("\u202e", "\ufffd") == reader.plain
    assert reader.tags.count("script") == 2
    assert "b" not in reader.tags
    labels, logs = data["labels"], np.concatenate([each.log_probabilities for each in found])
    assert data["tokens"][0] == [[labels.index("<")]]
    assert {"line end", "tab", "U+202E"} <= set(labels)
    for n, (style, _) in enumerate(reader.spans[1:]):
        ((label, surprise, rank, *others),) = data["tokens"][n + 1]
        assert labels[label] == {"\n": "line end", "\t": "tab", "\u202e": "U+202E"}.get(TEXT[n + 1], TEXT[n + 1])
        assert surprise == round(-1000 * logs[n])
        chunk, at = found[n // 64], n % 64
        assert rank == chunk.ranks[at]
        assert [labels[each] for each in others[::2]] == [
            {"\n": "line end", "\t": "tab", "\u202e": "U+202E"}.get(vocab.symbols[k], vocab.symbols[k])
            for k in chunk.likeliest[at]
        ]
        assert others[1::2] == [round(-1000 * log) for log in chunk.likeliest_logs[at]]
        assert style == f"s{sum(surprise / 1000 / math.log(2) >= step for step in STEPS)}"
    assert {style for style, _ in reader.spans} >= {"s0", "s1", "s6", "s7"}


def test_the_bytes_of_a_character_are_shown_together() -> None:
    reader, data, found = made(ByteVocab(), "a한b")
    assert [text for _, text in reader.spans] == ["a", "한", "b"]
    assert [len(tokens) for tokens in data["tokens"]] == [1, 3, 1]
    surprise = -sum(found[0].log_probabilities[:3]) / math.log(2)
    assert reader.spans[1][0] == f"s{sum(surprise >= step for step in STEPS)}"
    assert data["labels"][data["tokens"][1][0][0]] == "byte 0xED"


def test_of_a_long_text_the_beginning_is_shown_and_this_is_said() -> None:
    vocab = CharVocab.from_text(TEXT)
    ids = vocab.encode(TEXT)
    tokens, totals = Tokens(vocab, ids, 70), score.Totals()
    model = Model.create(len(vocab), (5,), device="reference", vocab=vocab)
    for each in score.scores(model, ids, alternatives=1):
        tokens.add(each)
        totals.add(each)
    made_page = page("t", tokens, totals, [])
    reader = Reader()
    reader.feed(made_page)
    assert len(reader.spans) == 70
    assert f"The first 70 of {len(TEXT)} characters are shown" in made_page
    assert "are shown; the figures" not in page("t", Tokens(vocab, ids), totals, [])


def test_places_are_linked_if_they_are_shown() -> None:
    vocab = CharVocab.from_text(TEXT)
    ids = vocab.encode(TEXT)
    tokens = Tokens(vocab, ids[:100])
    tokens.add(next(score.scores(Model.create(len(vocab), (5,), device="reference"), ids[:65])))
    rows = [Row(at, f"line {at}", 9.5, "1 %", "<b", "<u>", "a\u202e", "& 5 %") for at in (1, 20, 500)]
    found = page("t", tokens, score.Totals(64, 1.0), rows)
    assert re.findall(r'<a href="#(t\d+)">line \d+</a>', found) == re.findall(r'<i class="s\d" id="(t\d+)">', found)
    assert '<a href="#t20">' in found
    assert '<td class="n">line 500</td>' in found
    assert '<td class="context">&lt;b<mark>&lt;u&gt;</mark>a\ufffd</td><td>&amp; 5 %</td>' in found


def test_probabilities_for_people() -> None:
    told = [chance(math.log(p)) for p in (1.0, 0.5, 0.0996, 0.034, 0.001, 1 / 2000, 1e-12)]
    assert told == ["100 %", "50 %", "10 %", "3.4 %", "0.1 %", "1 in 2,000", "1 in 1e+12"]
    place = score.Place(5, -3.0, 2, (0, 1, 2), (math.log(0.5), math.log(0.2), -3.0))
    assert likelier(CharVocab("\na "), place) == "line end 50 %, a 20 %"
    assert likelier(CharVocab("\na "), place._replace(rank=0)) == ""


def channels(colour: str) -> float:
    """Return the relative luminance of #rrggbb, by the Web Content Accessibility Guidelines."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_can_be_written_on_and_told_from_the_others_without_hues(scheme: int) -> None:
    vocab = CharVocab("ab")
    found = page("t", Tokens(vocab, vocab.encode("ab")), score.Totals(1, 1.0), [])
    schemes = re.findall(r":root \{(.*?)\}", found, re.DOTALL)
    assert len(schemes) == 2
    names = dict(re.findall(r"--(\w+): (#\w{6})", schemes[scheme]))
    ground = [names["page"], *(names[f"s{n}"] for n in range(1, 8))]
    writing = [names["ink"]] * 5 + [names[f"t{n}"] for n in (5, 6, 7)]
    for n, pair in enumerate(zip(ground, writing, strict=True)):
        light, dark = sorted(map(channels, pair), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"step {n}"
    brightness = [channels(each) for each in ground]
    assert brightness == sorted(brightness, reverse=not scheme)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    vocab = CharVocab("ab")
    found = page("t", Tokens(vocab, vocab.encode("ab")), score.Totals(1, 1.0), [])
    assert not re.search(r"https?:|//\w|@import|url\(", found)
    assert "default-src 'none'" in found
    assert "$" not in found

"""Statistics of a text, its warnings, and the suggested network size."""

from __future__ import annotations

import pytest

from numlstm.corpus_tools import stats as module
from numlstm.corpus_tools.stats import stats
from numlstm.corpus_tools.suggest import suggest
from numlstm.errors import CorpusError
from numlstm.monitoring import advice
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings
from numlstm.text.sources import find
from numlstm.text.sources.find import Source


def of(text, **more):
    return stats([Source("-", text.encode() if isinstance(text, str) else text)], **more)


def prose(source_text, size=40_000):
    return source_text[:size]


@pytest.mark.parametrize("chunk", [5, 1 << 16])
def test_the_figures_of_a_small_text(monkeypatch, chunk):
    monkeypatch.setattr(find, "CHUNK_BYTES", chunk)
    found = of("one\nlonger line\né🙂\x01\nlast" + "s" * 20)
    assert (found.characters, found.size, found.lines) == (44, 48, 4)
    assert found.longest_line == 24
    assert found.distinct == len(set("one\nlonger line\né🙂\x01\nlast"))
    rarest = {each.symbol: (each.count, each.code, each.name) for each in found.rare}
    assert rarest["é"] == (1, "U+00E9", "LATIN SMALL LETTER E WITH ACUTE")
    assert rarest["🙂"] == (1, "U+1F642", "SLIGHTLY SMILING FACE")
    assert rarest["\x01"] == (1, "U+0001", "control character")
    assert rarest["n"][0] == 3
    assert "s" not in rarest
    assert [each.count for each in found.rare] == sorted(each.count for each in found.rare)


def test_a_text_of_one_line():
    found = of("one line")
    assert (found.lines, found.longest_line) == (1, 8)


def test_several_sources_are_one_text():
    found = stats([Source("a", b"ab"), Source("b", b"bc\n")])
    assert (found.characters, found.distinct, found.lines) == (5, 4, 1)
    assert found.sources == (("a", "utf-8"), ("b", "utf-8"))


def test_an_empty_text_is_an_error():
    with pytest.raises(CorpusError, match="'-': the text is empty"):
        of("")


def test_repeated_passages_are_of_the_first_part(monkeypatch, source_text):
    text = prose(source_text)
    found = of(text + text)
    assert found.repeated_share > 0.5
    assert found.passages[0].length == len(text)
    assert any("repeats earlier passages" in warning for warning in found.warnings)
    monkeypatch.setattr(module, "SEARCHED", len(text))
    found = of(text + text)
    assert found.searched == len(text)
    assert found.repeated_share < 0.5


def test_a_good_text_has_no_warnings(source_text):
    assert of(prose(source_text)).warnings == ()


def test_a_small_text_is_warned_of():
    assert "the text is very small" in of("small").warnings[0]


def test_encodings_are_found_and_mixtures_told(source_text):
    text = prose(source_text)
    old = Source("old.txt", ("“café” " + text).encode("cp1252"))
    found = stats([Source("new.txt", text.encode()), old, Source("wide.txt", text.encode("utf-16"))])
    assert [encoding for _, encoding in found.sources] == ["utf-8", "cp1252", "utf-16"]
    assert found.characters == 3 * len(text) + 7
    assert any("several encodings: cp1252, utf-16, utf-8" in warning for warning in found.warnings)
    assert any("'old.txt' is not in UTF-8" in warning for warning in found.warnings)
    alone = stats([old], "cp1252")
    assert alone.warnings == ()
    with pytest.raises(CorpusError, match="is not in ascii"):
        stats([old], "ascii")
    with pytest.raises(CorpusError, match="is not a known text encoding"):
        stats([old], "nonsense")


def test_korean_of_windows_is_known(source_text):
    text = "메밀꽃 필 무렵, “똠방각하” 1936.\n"
    found = of(text.encode("cp949"))
    assert found.sources == (("-", "cp949"),)
    assert found.characters == len(text)
    assert any("perhaps in cp949 (Windows): train needs --encoding cp949" in warning for warning in found.warnings)
    assert of("ÄpfelÖÄÜ ÈÀ".encode("cp1252")).sources == (("-", "cp1252"),)


def test_what_was_misread_or_lost_before_is_told(source_text):
    text = prose(source_text)
    misread = "café – “so”".encode().decode("cp1252", "replace")
    warnings = of(misread + text).warnings
    assert any("UTF-8 that was decoded as another encoding" in warning for warning in warnings)
    assert any("were already lost (U+FFFD)" in warning for warning in of("\ufffd" + text).warnings)
    assert of("ÂA Ã B naïve “quotes” Ça" + text).warnings == ()


def test_how_far_it_is_is_told():
    told = []
    of("text " * 10, report=lambda *what: told.append(what))
    assert told[0] == ("reading", 50, 0)
    assert told[-1][0] == "looking for repeated passages"


@pytest.mark.parametrize(
    ("characters", "units", "dropout"),
    [
        (5_000, 32, 0.3),
        (30_000, 128, 0.3),
        (100_000, 128, 0.3),
        (250_000, 128, 0.0),
        (1_115_394, 288, 0.0),
        (10**9, 512, 0.0),
    ],
)
def test_the_network_suits_the_text(characters, units, dropout):
    found = suggest(characters, 65)
    assert (found.units, found.dropout) == (units, dropout)
    assert found.parameters == parameters.count(NetworkSettings(65, (units, units)))
    assert found.options() == f"--layers {units},{units}" + (" --dropout 0.3" if dropout else "")


@pytest.mark.parametrize("characters", [30_000, 60_000, 10**5, 10**6, 10**7])
@pytest.mark.parametrize("distinct", [30, 100, 1500])
def test_train_never_calls_the_suggestion_too_large(characters, distinct):
    found = suggest(characters, distinct)
    training = round(characters * 0.9)
    setting = advice.Setting(found.parameters, training, "character", (found.units,) * 2, epochs=5)
    assert advice.before_training(setting) is None or training < advice.SMALL_TEXT


def test_a_text_of_many_characters_gets_a_smaller_network():
    assert suggest(100_000, 3000).units < suggest(100_000, 60).units

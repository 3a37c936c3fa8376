"""Combining files into one text: in order, without duplicates, and with a report of what was left out."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from numlstm.corpus_tools import documents, repeats
from numlstm.corpus_tools.combine import CombineOptions, combine
from numlstm.corpus_tools.repeats import SHORTEST, Paragraphs
from numlstm.errors import ConfigError, CorpusError

LONG = "It rained on the harbour, and the gulls were loud above the empty quay that night.\n"
OTHER = "Nobody came; the lamps went out one after the other, until only the lighthouse was left.\n"


@pytest.fixture
def put(tmp_path):
    def write(name, data):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)

    return write


def run(places, wishes=None, target="all.txt", report=None):
    out = io.BytesIO()
    places = [str(place) for place in places] if isinstance(places, (list, tuple)) else [str(places)]
    done = combine(places, Path(target), out, wishes or CombineOptions(), report)
    text = out.getvalue().decode()
    assert done.characters == len(text)
    return text, done


def test_files_of_any_kind_in_order_of_name(tmp_path, put):
    put("b.txt", "B\r\n\r\n")
    put("a/z.HTML", "<p>Z<p>z")
    put("a/c.md", "\n\n# C")
    put("c.jpg", b"\xff")
    put("d", "no ending")
    put(".hidden.txt", "hidden")
    put(".git/x.txt", "hidden")
    text, done = run(tmp_path / "in")
    assert text == "# C\n\nZ\n\nz\n\nB\n"
    assert done.files == 3
    assert done.others == {".jpg": 1, "no ending": 1}


def test_several_places_and_files_as_they_are_given(tmp_path, put):
    first, second = put("y.txt", "Y"), put("x.log", "X")
    text, _ = run([first, second, tmp_path / "in"])
    assert text == "Y\n\nX\n"


def test_the_delimiter_stands_between(tmp_path, put):
    put("a.txt", "A")
    put("b.txt", " \n")
    put("c.txt", "C")
    text, done = run(tmp_path / "in", CombineOptions(delimiter="<|>\n"))
    assert text == "A\n<|>\nC\n"
    assert done.without_text == [str(tmp_path / "in" / "b.txt")]


def test_what_cannot_be_read_is_left_out_with_the_reason(tmp_path, put):
    put("a.txt", "fine")
    put("b.txt", b"fine until " * 9000 + b"\xff")
    put("c.epub", "no zip")
    text, done = run(tmp_path / "in")
    assert text == "fine\n"
    assert [Path(name).name for name, _ in done.skipped] == ["b.txt", "c.epub"]
    assert "does not decode" in done.skipped[0][1]
    text, done = run(tmp_path / "in", CombineOptions(encoding="latin-1"))
    assert text.endswith("ÿ\n")
    assert len(done.skipped) == 1


def test_repeated_files_and_paragraphs_are_left_out_once(tmp_path, put):
    put("a.txt", f"{LONG}\nYes.\n\n{OTHER}")
    put("b.txt", f"{LONG}\r\nYes.\r\n\r\n{OTHER}".replace("\n\n", "\r\n\r\n").replace("\r\r", "\r"))
    put("c.txt", f"Yes.\n\n\n{LONG.replace(' ', '  ')}\n\nNo.\n")
    put("d.txt", LONG)
    text, done = run(tmp_path / "in", CombineOptions(delimiter="--\n"))
    assert text == f"{LONG}\nYes.\n\n{OTHER}--\nYes.\n\n\nNo.\n"
    assert done.files == 2
    assert [(Path(a).name, Path(b).name) for a, b in done.repeated] == [("b.txt", "a.txt"), ("d.txt", "other files")]
    assert done.paragraphs == 2
    kept, done = run(tmp_path / "in", CombineOptions(delimiter="--\n", keep_repeats=True))
    assert kept.count("It rained") + kept.count("It  rained") == 4
    assert (done.files, done.repeated, done.paragraphs) == (4, [], 0)


def test_the_output_is_not_read(tmp_path, put):
    put("a.txt", "A")
    target = put("all.txt", "older")
    assert run(tmp_path / "in", target=target)[0] == "A\n"


def test_a_file_that_was_given_is_not_replaced_unread(tmp_path, put):
    one, all_ = put("a.txt", "A"), put("all.txt", "older")
    with pytest.raises(CorpusError, match=r"all.txt is both input and output; expected another name"):
        combine([str(all_), str(one)], all_, io.BytesIO(), CombineOptions())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path, put):
    put("a.txt", "A")
    os.mkfifo(tmp_path / "in" / "b.txt")
    text, done = run(tmp_path / "in")
    assert text == "A\n"
    assert [reason for _, reason in done.skipped] == ["it is a device or a pipe"]


def test_a_document_is_read_once(tmp_path, put, monkeypatch):
    asked = []
    monkeypatch.setitem(documents._READERS, ".pdf", lambda path: asked.append(path.name) or "A")
    put("a.pdf", "")
    assert run(tmp_path / "in")[0] == "A\n"
    assert asked == ["a.pdf"]


def test_nothing_to_read_is_an_error(tmp_path, put):
    with pytest.raises(CorpusError, match="there is no file or folder 'nowhere'"):
        run("nowhere")
    put("a.jpg", "x")
    with pytest.raises(CorpusError, match=r"there is no \.txt, .*\.pdf file in"):
        run(tmp_path / "in")
    put("a.epub", "x")
    with pytest.raises(CorpusError, match=r"found no text in 1 file: .*not a zip archive.*nothing was written"):
        run(tmp_path / "in")


def chat(names, *said):
    return json.dumps(
        {"messages": [{"type": "message", "from": n, "text": t} for n, t in zip(names, said, strict=True)]}
    )


def test_chats_by_format_sender_and_names(tmp_path, put):
    put("a/result.json", chat("AB", "one", "two"))
    put("b/result.json", chat("BA", "three", "four"))
    put("c.json", "{}")
    put("d.txt", "no chat")
    text, done = run(tmp_path / "in", CombineOptions(format="telegram"))
    assert text == "A: one\nB: two\n\nB: three\nA: four\n"
    assert [Path(name).name for name, _ in done.skipped] == ["c.json"]
    assert done.others == {".txt": 1}
    assert run(tmp_path / "in", CombineOptions(format="telegram", sender="a"))[0] == "one\n\nfour\n"
    assert run(tmp_path / "in", CombineOptions(format="telegram", sender="a", names=True))[0] == "A: one\n\nA: four\n"
    assert run(tmp_path / "in", CombineOptions(format="telegram", names=False))[0] == "one\ntwo\n\nthree\nfour\n"
    with pytest.raises(CorpusError, match="found no text by 'Zoe'"):
        run(tmp_path / "in", CombineOptions(format="telegram", sender="Zoe"))
    with pytest.raises(ConfigError, match="expected whatsapp"):
        run(tmp_path / "in", CombineOptions(format="icq"))


def test_facebooks_parts_come_oldest_first(tmp_path, put):
    for number, word in ((1, "new"), (2, "older"), (10, "oldest")):
        message = {"sender_name": "A", "timestamp_ms": -number, "content": word}
        put(f"x/message_{number}.json", json.dumps({"messages": [message]}))
    text, _ = run(tmp_path / "in", CombineOptions(format="facebook", names=False, delimiter=""))
    assert text == "oldest\nolder\nnew\n"


def test_how_far_it_is_is_told(tmp_path, put):
    put("a.txt", "1234")
    put("b.txt", "123456")
    told = []
    run(tmp_path / "in", report=lambda *what: told.append(what))
    assert told == [("combining", 0, 10), ("combining", 4, 10)]


def test_large_texts_are_streamed(tmp_path, put):
    path = Path(put("a.txt", ""))
    with open(path, "w", encoding="utf-8") as file:
        for number in range(12_000):
            file.write(f"{number} {'words and more words ' * 10}\n" + "\n" * (number % 100 == 0))

    class Nowhere(io.RawIOBase):
        def write(self, data):
            return len(data)

    tracemalloc.start()
    done = combine([str(path)], tmp_path / "out", Nowhere(), CombineOptions())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.characters > 2_400_000
    assert peak < 1_200_000


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_how_a_text_is_cut_into_pieces_changes_nothing(size):
    text = f"\n\n{LONG}{LONG}\n\nshort\n\n{LONG}{LONG}\n \n{OTHER}end"
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    paragraphs = Paragraphs()
    assert "".join(paragraphs.without_repeats(pieces)) == f"{LONG}{LONG}\n\nshort\n\n{OTHER}end\n"
    assert paragraphs.left_out == 1


def test_short_paragraphs_may_repeat():
    short, long = "x" * (SHORTEST - 1), "x" * SHORTEST
    assert "".join(Paragraphs().without_repeats([f"{short}\n\n{short}\n"])) == f"{short}\n\n{short}\n"
    assert "".join(Paragraphs().without_repeats([f"{long}\n\n{long}\n"])) == f"{long}\n"


def test_a_text_without_an_empty_line_or_any_line_is_no_burden(monkeypatch):
    monkeypatch.setattr(repeats, "_LONGEST", 100)
    lines = "".join(f"line {number}\n" for number in range(100))
    assert "".join(Paragraphs(keep=True).without_repeats([lines])) == lines
    found = "".join(Paragraphs(keep=True).without_repeats(["word " * 7] * 30))
    assert found == "word " * 210 + "\n"

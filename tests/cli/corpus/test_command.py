"""`numlstm corpus` end to end, and the help that `train` prints when no text is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from numlstm.text.sources import catalog
from numlstm.text.sources.python_library import python_source
from tests.cli.conftest import Command
from tests.helpers.web_server import Site, serving

PARAGRAPH = "It rained on the harbour, and the gulls were loud above the empty quay that night.\n"
TEXT = b"First line.\nSecond line.\n" * 500


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Start a server with one text, and a catalogue that lists it."""
    monkeypatch.setenv("NUMLSTM_CACHE_DIR", str(tmp_path / "cache"))
    for proxy in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with serving() as served:
        served.files["/story.txt"] = TEXT
        said = (
            '[python]\ntitle = "Library"\nauthor = "A"\nlanguage = "Python"\nlicence = "PSF-2.0"\nsource = "stdlib"\n'
            '[story]\ntitle = "A story"\nauthor = "B"\nlanguage = "Korean"\nlicence = "CC0-1.0"\nsource = "download"\n'
            f'url = "{served.url("/story.txt")}"\nsize = {len(TEXT)}\n'
        )
        monkeypatch.setattr(catalog, "_catalogue_text", lambda: said)
        yield served


@pytest.fixture
def run(numlstm: Command):
    """Run a command; return its exit code, stdout and stderr."""

    def call(*args: str) -> tuple[int, str, str]:
        done = numlstm(*args)
        return done.returncode, done.stdout, done.stderr

    return call


def test_list_says_what_there_is_and_whether_it_is_here(site: Site, run) -> None:
    code, out, _ = run("corpus", "list")
    assert code == 0
    lines = out.splitlines()
    story = lines.index("story     12 kB  to download  A story (Korean)")
    assert lines[story + 1].strip() == "B; Korean; CC0-1.0"
    assert run("corpus", "get", "story")[0] == 0
    assert "here" in next(line for line in run("corpus", "list")[1].splitlines() if line.startswith("story"))
    found = {each["name"]: each for each in json.loads(run("corpus", "list", "--json")[1])}
    assert found["story"] == {
        "name": "story",
        "title": "A story",
        "author": "B",
        "language": "Korean",
        "licence": "CC0-1.0",
        "source": "download",
        "urls": [site.url("/story.txt")],
        "bytes": len(TEXT),
        "exact": True,
        "here": True,
    }
    assert (found["python"]["here"], found["python"]["exact"]) == (True, False)


def test_get_downloads_once_and_again_if_told_to(site: Site, run) -> None:
    code, out, err = run("corpus", "get", "story", "python")
    assert (code, out) == (0, "")
    assert f"story: downloaded, {len(TEXT):,} bytes, licence CC0-1.0: " in err
    assert "python: already here" in err
    assert "story: already here" in run("corpus", "get", "story")[2]
    assert site.asked == ["/story.txt"]
    site.files["/story.txt"] = TEXT.replace(b"F", b"f")
    assert "story: downloaded" in run("corpus", "get", "story", "--refresh")[2]
    assert Path(run("corpus", "path", "story")[1].strip()).read_bytes() == TEXT.replace(b"F", b"f")


def test_path_is_all_that_stdout_has(site: Site, run) -> None:
    code, out, _ = run("corpus", "path", "story", "python")
    assert code == 0
    story, python = map(Path, out.splitlines())
    assert story.read_bytes() == TEXT
    assert python.read_text(encoding="ascii") == python_source()


def test_what_fails_is_one_line(site: Site, run) -> None:
    site.faults["/story.txt"] = 404
    for command in (["corpus", "get", "story"], ["corpus", "path", "story"], ["train", "story"]):
        code, out, err = run(*command)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "404 Not Found" in err
    assert "no corpus is called 'tale'; expected one of python, story" in run("corpus", "get", "tale")[2]


def test_a_named_corpus_trains_the_first_time(site: Site, run, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--layers", "8", "--steps", "2", "--batch-size", "2", "--seq-len", "16", "--device", "reference")
    code, _, err = run("train", "story", *options)
    assert code == 0, err
    assert f"{len(TEXT):,} characters" in err
    site.faults["/story.txt"] = 404  # cached by now
    assert run("train", "--resume", "weights.npz", "--steps", "3", "--device", "reference")[0] == 0


def test_train_without_a_text_explains_the_choices(numlstm: Command, tmp_path: Path) -> None:
    done = numlstm("train", NUMLSTM_CACHE_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    for name, entry in catalog.entries().items():
        line = next(line for line in done.stderr.splitlines() if line.startswith(f"  {name} "))
        assert entry.title in line
        assert ("to download" in line) == (entry.source == "download")
    assert "1.1 MB" in done.stderr
    assert "  numlstm train tales\n" in done.stderr
    assert "numlstm corpus combine FOLDER" in done.stderr
    assert not (tmp_path / "weights.npz").exists()
    assert numlstm("train", "--layers", "8", NUMLSTM_CACHE_DIR=str(tmp_path)).stderr == done.stderr


def test_combine_writes_one_text_and_says_what_it_left_out(numlstm: Command, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text(PARAGRAPH, encoding="utf-8")
    (folder / "b.html").write_text(f"<p>Hello [b]<p>{PARAGRAPH}", encoding="utf-8")
    (folder / "c.txt").write_text(PARAGRAPH, encoding="utf-8")
    (folder / "d.txt").write_text("caf\xe9", encoding="latin-1")
    (folder / "e.txt").write_text("", encoding="utf-8")
    (folder / "f.jpg").write_text("", encoding="utf-8")
    done = numlstm("corpus", "combine", "in", "-o", "all.txt")
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "all.txt").read_bytes() == f"{PARAGRAPH}\nHello [b]\n".encode()
    for said in (
        f"all.txt: {len(PARAGRAPH) + 11:,} characters from 2 files",
        "left out, unreadable: 1\n",
        "d.txt: ",
        "left out, duplicates: 1\n",
        f"c.txt: the same as {Path('in', 'a.txt')}\n",
        "left out, without text: 1\n",
        "left out, repeated paragraphs: 1 of",
        "not read: 1 .jpg\n",
    ):
        assert said in done.stderr


def test_combine_never_overwrites_unasked_and_leaves_nothing_half(numlstm: Command, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A", encoding="utf-8")
    (tmp_path / "all.txt").write_text("mine", encoding="utf-8")
    refused = numlstm("corpus", "combine", "a.txt", "-o", "all.txt")
    assert (refused.returncode, refused.stderr) == (
        1,
        "numlstm: all.txt exists; use --overwrite to replace it, or name another --output\n",
    )
    assert (tmp_path / "all.txt").read_text(encoding="utf-8") == "mine"
    assert numlstm("corpus", "combine", "a.txt", "-o", "all.txt", "--overwrite").returncode == 0
    assert (tmp_path / "all.txt").read_text(encoding="utf-8") == "A\n"
    (tmp_path / "b.epub").write_text("none", encoding="utf-8")
    failed = numlstm("corpus", "combine", "b.epub", "-o", "new.txt")
    assert failed.returncode == 1
    assert "nothing was written" in failed.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "all.txt", "b.epub"]


def test_combines_options_are_passed_on(run, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = "31/12/20, 23:59 - Anna: One\n31/12/20, 23:59 - Bo: Zw\xf6lf\n"
    Path("x").mkdir()
    Path("x/1.txt").write_text(said, encoding="utf-8")
    Path("x/2.txt").write_text(said, encoding="utf-8")

    def text(*options):
        code, _, err = run("corpus", "combine", "x", "-o", "all.txt", "--overwrite", *options)
        assert code == 0, err
        return Path("all.txt").read_text(encoding="utf-8")

    assert text() == said
    assert text("--keep-repeats", "--delimiter", "-\\n") == f"{said}-\n{said}"
    assert "Zw\xc3\xb6lf" in text("--encoding", "latin-1")
    assert text("--format", "whatsapp") == "Anna: One\nBo: Zw\xf6lf\n"
    assert text("--format", "whatsapp", "--no-names") == "One\nZw\xf6lf\n"
    assert text("--format", "whatsapp", "--sender", "bo") == "Zw\xf6lf\n"
    assert text("--format", "whatsapp", "--sender", "bo", "--names") == "Bo: Zw\xf6lf\n"
    for wrong in (("--sender", "bo"), ("--no-names",)):
        code, _, err = run("corpus", "combine", "x", "-o", "new.txt", *wrong)
        assert (code, err.count("\n")) == (1, 1)
        assert "expected --format too" in err
    wrong = ("--format", "whatsapp", "--encoding", "cp949")
    assert "give either --encoding or --format, not both" in run("corpus", "combine", "x", "-o", "new.txt", *wrong)[2]
    assert "expected whatsapp" in run("corpus", "combine", "x", "-o", "new.txt", "--format", "icq")[2]
    assert "is not a known text encoding" in run("corpus", "combine", "x", "-o", "n.txt", "--encoding", "z")[2]


def test_cleans_options_are_passed_on(run, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    book = (
        "*** START OF THE PROJECT GUTENBERG EBOOK X ***\r\n\r\ne\u0301\x00\u00a0 \r\nx\r\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK X ***\r\n"
    )
    Path("in.txt").write_bytes(book.encode())

    def text(*options):
        code, out, err = run("corpus", "clean", "in.txt", "-o", "out.txt", "--overwrite", *options)
        assert (code, out) == (0, ""), err
        return Path("out.txt").read_text(encoding="utf-8"), err

    plain, said = text()
    assert plain == "e\u0301\nx\n"
    for what in ("line ends: 5 CRLF became LF", "Project Gutenberg", "U+0000 × 1", "1 special space", "out.txt: 5 of"):
        assert what in said
    assert text("--normalise", "NFC")[0] == "é\nx\n"
    assert "*** START" in text("--keep-gutenberg")[0]
    assert text("--keep-controls")[0] == "e\u0301\x00\nx\n"
    assert text("--keep-space")[0] == "e\u0301\u00a0 \nx\n"
    assert text("--encoding", "latin-1")[0] == "e\xcc\xc2\nx\n"
    Path("in.txt").write_bytes(b"clean\n")
    assert "there was nothing to clean" in text()[1]
    assert "out.txt exists; use --overwrite" in run("corpus", "clean", "in.txt", "-o", "out.txt")[2]
    Path("in.txt").write_bytes(b"\x00\n")
    code, _, err = run("corpus", "clean", "in.txt", "-o", "new.txt")
    assert (code, Path("new.txt").exists()) == (1, False)
    assert "has no text left after cleaning (2 characters before); nothing was written" in err


def test_stats_shows_the_figures_and_a_command(run, tmp_path, monkeypatch, source_text) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my text.txt").write_text(source_text[:40_000] + "é", encoding="utf-8")
    code, out, err = run("corpus", "stats", "my text.txt")
    assert (code, err) == (0, "")
    for shown in (
        "text        40,001 characters, 40,002 bytes as UTF-8, from 1 file in utf-8",
        "1 × U+00E9 LATIN SMALL LETTER E WITH ACUTE é",
        "repeated    ",
        "suggested   two layers of 128 units",
        "numlstm train 'my text.txt' --layers 128,128 --dropout 0.3",
    ):
        assert shown in out
    facts = json.loads(run("corpus", "stats", "my text.txt", "--json")[1])
    assert (facts["characters"], facts["bytes"], facts["warnings"]) == (40_001, 40_002, [])
    assert facts["distinct"] == len(set(source_text[:40_000] + "é"))
    assert {"symbol": "é", "code": "U+00E9", "name": "LATIN SMALL LETTER E WITH ACUTE", "count": 1} in facts["rare"]
    assert facts["suggestion"]["layers"] == [128, 128]
    assert facts["suggestion"]["command"] in out


def test_stats_as_json_can_be_written_in_any_encoding(numlstm_process: Command, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("rain 🌧\n" * 30, encoding="utf-8")
    done = numlstm_process("corpus", "stats", "a.txt", "--json", PYTHONIOENCODING="cp1252")
    assert json.loads(done.stdout)["repeated"][0]["text"].startswith("rain 🌧\n")


def test_stats_warns_on_stderr_and_takes_an_encoding(run, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_bytes("한글 텍스트\n".encode("cp949") * 3)
    code, out, err = run("corpus", "stats", "a.txt")
    assert code == 0
    assert "warning: the text is very small" in err
    assert "is not in UTF-8" in err
    assert "--encoding cp949" in out
    code, out, err = run("corpus", "stats", "a.txt", "--encoding", "cp949")
    assert "HANGUL SYLLABLE HAN 한" in out
    assert "--encoding cp949" in out
    assert "is not in UTF-8" not in err

"""The catalogue of named corpora: its entries, its location and its errors."""

from __future__ import annotations

import pytest

from numlstm.errors import CorpusError
from numlstm.text.dataset.corpus import corpus_names, load_corpus
from numlstm.text.sources import catalog


def test_every_named_corpus_says_what_it_is():
    names = corpus_names()
    assert "python" in names
    for entry in names.values():
        assert {"title", "author", "language", "licence", "source"} <= set(entry)
    assert names["python"]["licence"] == "PSF-2.0"


def test_broken_catalogue_is_an_error(monkeypatch):
    monkeypatch.setattr(catalog, "_catalogue_text", lambda: "[python")
    with pytest.raises(CorpusError, match=r"expected corpora\.toml inside the package; reinstall"):
        corpus_names()


def test_missing_catalogue_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(catalog.importlib.resources, "files", lambda name: tmp_path)
    monkeypatch.setattr(catalog, "__file__", str(tmp_path / "numlstm" / "text" / "sources" / "catalog.py"))
    with pytest.raises(CorpusError, match="reinstall numlstm"):
        corpus_names()


def test_installed_catalogue_comes_first(monkeypatch, tmp_path, put, error_of):
    put("corpus/corpora.toml", "[other]\nsource = 'elsewhere'\n")
    monkeypatch.setattr(catalog.importlib.resources, "files", lambda name: tmp_path)
    assert set(corpus_names()) == {"other"}
    assert "the corpus other comes from 'elsewhere'; expected 'stdlib', 'package' or" in error_of(
        load_corpus, ["other"]
    )

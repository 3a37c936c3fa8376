"""Read the prompt of `gen` from a file, or take a random passage of a corpus."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...errors import CorpusError

if TYPE_CHECKING:
    from ...text.vocab.base import Vocab


def chosen(path: str | None, corpus: str | None, length: int, vocab: Vocab, seed: int, drop_unknown: bool) -> str:
    """Return the prompt from the file `path` or, if that is None, a passage of `corpus`."""
    if path is not None:
        return from_file(path, vocab.reads_bytes)
    return from_corpus(str(corpus), vocab, length, seed, drop_unknown)


def from_file(path: str, any_bytes: bool = False) -> str:
    """Return the content of a file, or of standard input for "-", unchanged, including the final line end.

    With `any_bytes`, bytes that are not UTF-8 become lone surrogates. Otherwise a byte-order mark is removed.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                data = file.read()
        return data.decode("utf-8", "surrogateescape") if any_bytes else data.decode().removeprefix("\ufeff")
    except OSError as error:
        raise CorpusError(f"the prompt {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"the prompt {path} is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error


def from_corpus(name: str, vocab: Vocab, length: int, seed: int, drop_unknown: bool) -> str:
    """Return a random passage of `length` tokens, or a shorter text as a whole; print its position to stderr."""
    import numpy as np

    from ...text.dataset.corpus import load_corpus

    corpus = load_corpus([name], vocab=vocab, drop_unknown=drop_unknown)
    # Independent of the random numbers that sample the text, which depend on the seed alone.
    place = int(np.random.default_rng([seed, 1]).integers(max(1, len(corpus.ids) - length + 1)))
    ids = corpus.ids[place : place + length]
    print(f"(prompt: {vocab.unit}s {place:,} to {place + len(ids):,} of {name})", file=sys.stderr)
    return vocab.decode(ids)

"""`numlstm corpus`: the named corpora, and commands that make and judge a text of one's own."""

from __future__ import annotations

from .command import corpus as corpus

"""`numlstm corpus`: the named corpora, and commands to make and examine a text of your own."""

from __future__ import annotations

from .command import corpus as corpus

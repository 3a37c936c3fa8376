"""`numlstm score`: how likely a model finds each token of a text."""

from __future__ import annotations

from .command import score as score

"""`numlstm gen`: write new text."""

from __future__ import annotations

from .command import gen as gen

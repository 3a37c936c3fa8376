"""`numlstm look`: what single cells of a model respond to."""

from __future__ import annotations

from .command import look as look

"""`numlstm serve`: the server, with the web page."""

from __future__ import annotations

from .command import serve as serve

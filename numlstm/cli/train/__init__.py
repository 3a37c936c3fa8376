"""`numlstm train`: train a model on a text."""

from __future__ import annotations

from .command import train as train

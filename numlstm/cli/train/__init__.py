"""`numlstm train`: train a model on a text, watch it learn, keep what it learned."""

from __future__ import annotations

from .command import train as train

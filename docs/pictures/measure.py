"""Compute the numbers of two pictures with a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import numlstm


def expected(name: str, prompt: str) -> dict[str, Any]:
    """Return the model's distribution after a prompt: all tokens, likeliest first, with log-probabilities in nats."""
    model = numlstm.load(name, device="reference")
    last = _log_probabilities(model, prompt)[-1]
    tokens = [{"token": model.vocab.decode([n]), "logprob": round(float(last[n]), 6)} for n in np.argsort(-last)]
    return {"model": name, "prompt": prompt, "tokens": tokens}


def surprises(name: str, text: str) -> list[list[Any]]:
    """Return each token of a text but the first, with its surprise (negative log-probability) in nats."""
    model = numlstm.load(name, device="reference")
    log_probabilities = _log_probabilities(model, text)
    ids = model.vocab.encode(text)
    found = zip(ids[1:], log_probabilities, strict=False)
    return [[model.vocab.decode([n]), round(-float(row[n]), 4)] for n, row in found]


def _log_probabilities(model: numlstm.Model, text: str) -> npt.NDArray[np.float64]:
    """Return the log-probability of every token (V) after each token of a text (T)."""
    logits, _ = model.logits(np.asarray(model.vocab.encode(text))[:, None])
    rows = logits.reshape(-1, logits.shape[-1]).astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    return np.asarray(rows - np.log(np.exp(rows).sum(axis=1, keepdims=True)))

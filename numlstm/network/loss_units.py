"""Convert a loss in nats per token to bits or perplexity."""

from __future__ import annotations

import math


def bits(nats: float) -> float:
    """Return a loss in bits."""
    return nats / math.log(2)


def perplexity(nats: float) -> float:
    """Return the perplexity of a loss in nats: the equivalent number of equally likely tokens, at most e^700."""
    return math.exp(min(nats, 700.0))

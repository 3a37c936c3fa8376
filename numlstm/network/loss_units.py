"""Other ways to say a loss in nats per token.

Knows nothing about networks or texts.
"""

from __future__ import annotations

import math


def bits(nats: float) -> float:
    """Return a loss in bits."""
    return nats / math.log(2)


def perplexity(nats: float) -> float:
    """Return of how many equally likely tokens a loss in nats amounts to; past e^700 it is cut off there."""
    return math.exp(min(nats, 700.0))

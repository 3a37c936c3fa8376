"""A running average of a run's weights, which is validated and saved instead of the last weights.

Stochastic gradient steps circle around the point they approach; their mean lies closer to it (Polyak & Juditsky 1992).
"""

from __future__ import annotations

import dataclasses

from ..backends.protocol import Array
from ..model import Model


@dataclasses.dataclass
class Average:
    """An exponential moving average of the parameters: a flat device array (P,), after `updates` updates."""

    flat: Array
    updates: int = 0
    _network: Model | None = None

    def update_(self, model: Model, fade: float) -> None:
        """Update the average with the parameters of `model`; the previous average is weighted by `fade`.

        After n updates the weight is min(fade, (1 + n) / (10 + n)), so that the initial parameters are soon forgotten,
        as in TensorFlow's ExponentialMovingAverage.
        """
        fade = min(fade, (1 + self.updates) / (10 + self.updates))
        model.backend.approach_(self.flat, model.flat, 1 - fade)
        self.updates += 1

    def network(self, model: Model) -> Model:
        """Return a network like `model` with the averaged parameters, valid until the next call."""
        if self._network is None:
            self._network = Model(model.config, self.flat, model.backend, vocab=model.vocab, precision=model.precision)
        self._network.flat[...] = self.flat
        self._network.pack()
        return self._network

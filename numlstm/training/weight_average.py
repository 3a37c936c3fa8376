"""The running average of a run's weights, which is validated and kept in the place of the last ones.

Steps of stochastic gradients circle around where they lead; their mean lies nearer to it (Polyak & Juditsky 1992).
Knows nothing about texts, files or how a step is made.
"""

from __future__ import annotations

import dataclasses

from ..backends.protocol import Array
from ..model import Model


@dataclasses.dataclass
class Average:
    """The mean of the parameters, older ones fading: a flat device array (P,), after so many `updates`."""

    flat: Array
    updates: int = 0
    _network: Model | None = None

    def update_(self, model: Model, fade: float) -> None:
        """Take the parameters of `model` in; what was there fades by the factor `fade`, at first by less.

        By min(fade, (1 + n) / (10 + n)) in the update after n, so that where the run began is soon forgotten, as
        TensorFlow's ExponentialMovingAverage does.
        """
        fade = min(fade, (1 + self.updates) / (10 + self.updates))
        model.backend.approach_(self.flat, model.flat, 1 - fade)
        self.updates += 1

    def network(self, model: Model) -> Model:
        """Return a network like `model` with the averaged parameters; it lasts until it is asked for again."""
        if self._network is None:
            self._network = Model(model.config, self.flat, model.backend, vocab=model.vocab, precision=model.precision)
        self._network.flat[...] = self.flat
        self._network.pack()
        return self._network

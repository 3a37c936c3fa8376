"""The settings of a network: how many layers of which sizes, and what they have beyond the plain LSTM."""

from __future__ import annotations

import dataclasses

from ..errors import ConfigError
from .declaration import NETWORK, Settings, setting

DTYPES = ("float32", "float64")
GATE_ACTIVATIONS = ("sigmoid", "hard-sigmoid")
_LARGEST = 2**16


@dataclasses.dataclass(frozen=True)
class NetworkSettings(Settings):
    """The shape of a network: `vocab_size` tokens in and out, one LSTM layer of H units for each entry of `layers`.

    Without an `embedding` (0) each token picks a row of the first layer's weights; without a `projection` (0) the h of
    a layer has H entries. `dtype` is that of the parameters.
    """

    vocab_size: int = setting(least=1, most=2**24)
    layers: tuple[int, ...] = setting(
        (128, 128),
        "The size of each LSTM layer.",
        NETWORK,
        least=1,
        most=_LARGEST,
        says="128,128",
        fixed=True,
        common=True,
    )
    dtype: str = setting("float32", choices=DTYPES)
    embedding: int = setting(
        0,
        "Turn tokens into vectors of this size first.",
        NETWORK,
        most=_LARGEST,
        says="none: each picks a row of weights",
        fixed=True,
    )
    projection: int = setting(
        0, "Project each layer's h to this size.", NETWORK, most=_LARGEST, says="none", fixed=True
    )
    layer_norm: bool = setting(False, "Normalise the gates' inputs and the cell.", NETWORK, fixed=True)
    tie_weights: bool = setting(False, "Make the output's weights those of the embedding.", NETWORK, fixed=True)
    gate_activation: str = setting(
        "sigmoid",
        f"{' or '.join(GATE_ACTIVATIONS)}, which is clip(0.2 z + 0.5, 0, 1) as in TensorFlow.js.",
        NETWORK,
        choices=GATE_ACTIVATIONS,
        fixed=True,
    )

    def _check_together(self) -> None:
        size = self.state_sizes[-1]
        if self.tie_weights and self.embedding != size:
            raise ConfigError(
                f"`embedding` is {self.embedding!r}; expected {size}, the size of the last layer's h, where weights "
                "are tied"
            )

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The size of each layer's h."""
        return tuple(self.projection or H for H in self.layers)

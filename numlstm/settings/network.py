"""The architecture of a network: layer sizes, and options beyond the plain LSTM."""

from __future__ import annotations

import dataclasses

from ..errors import ConfigError
from .declaration import NETWORK, Settings, setting

DTYPES = ("float32", "float64")
GATE_ACTIVATIONS = ("sigmoid", "hard-sigmoid")
_LARGEST = 2**16


@dataclasses.dataclass(frozen=True)
class NetworkSettings(Settings):
    """The architecture of a network: `vocab_size` tokens in and out, one LSTM layer of H units per entry of `layers`.

    Without an `embedding` (0) each token selects a row of the first layer's weights. Without a `projection` (0) a
    layer's h has H entries. `dtype` is the dtype of the parameters.
    """

    vocab_size: int = setting(least=1, most=2**24)
    layers: tuple[int, ...] = setting(
        (128, 128),
        "Units in each LSTM layer: 256,256 is two layers of 256. More units can learn more but train more slowly.",
        NETWORK,
        least=1,
        most=_LARGEST,
        default_text="128,128",
        fixed=True,
        common=True,
    )
    dtype: str = setting("float32", choices=DTYPES)
    embedding: int = setting(
        0,
        "Learn a vector of this size for each token, and feed the vectors to the first layer.",
        NETWORK,
        most=_LARGEST,
        default_text="none: one-hot input",
        fixed=True,
    )
    projection: int = setting(
        0,
        "Project each layer's output to this size; a smaller one saves parameters.",
        NETWORK,
        most=_LARGEST,
        default_text="none",
        fixed=True,
    )
    layer_norm: bool = setting(
        False,
        "Use layer normalisation: rescale the gate inputs and the cell state at each token.",
        NETWORK,
        fixed=True,
    )
    tie_weights: bool = setting(
        False,
        "Share one weight matrix between the embedding and the output layer, which saves parameters.",
        NETWORK,
        fixed=True,
    )
    gate_activation: str = setting(
        "sigmoid",
        f"The gates' activation function: {' or '.join(GATE_ACTIVATIONS)}, which is clip(0.2 z + 0.5, 0, 1) as in "
        "TensorFlow.js.",
        NETWORK,
        choices=GATE_ACTIVATIONS,
        fixed=True,
    )

    def _check_together(self) -> None:
        size = self.state_sizes[-1]
        if self.tie_weights and self.embedding != size:
            raise ConfigError(
                f"`embedding` is {self.embedding!r}; expected {size}, the size of the last layer's output, because "
                "`tie_weights` is on"
            )

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The size of each layer's h."""
        return tuple(self.projection or H for H in self.layers)

"""Suggest the size of a network for a text.

Karpathy's rule of thumb (the README of char-rnn): as many parameters as the text has characters, within an order of
magnitude. Small texts may have more, because early stopping keeps the best weights: 2 x 128 units, the default, learned
the most of 27,000 characters, at 9 parameters per character (`advice.LARGE_NETWORK` says how that was measured). So the
suggestion is two equal layers with about as many parameters as characters. They have at least 128 units while that is
at most a third of what `train` calls very large, and at most 512, which take days on a CPU.
"""

from __future__ import annotations

import dataclasses

from ..monitoring import advice
from ..network import parameters
from ..settings.network import NetworkSettings

_USUAL, _LARGEST, _STEP = 128, 512, 32
_MOST = advice.LARGE_NETWORK / 3  # parameters per character
_DROPOUT, _FROM = 0.3, 2.0  # the dropout suggested above this many parameters per character


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """Two layers of `units` each, their number of `parameters`, and the dropout to train with."""

    units: int
    parameters: int
    dropout: float

    def options(self) -> str:
        """Return the options for `numlstm train`."""
        dropout = f" --dropout {self.dropout:g}" if self.dropout else ""
        return f"--layers {self.units},{self.units}{dropout}"


def suggest(characters: int, distinct: int, val_split: float = 0.1) -> Suggestion:
    """Suggest a network for a text of so many characters, `distinct` of them different, `val_split` for validation."""
    training = max(1, round(characters * (1 - val_split)))
    sizes = range(_STEP, _LARGEST + 1, _STEP)
    near = min(sizes, key=lambda units: abs(_parameters(units, distinct) - training))
    if near < _USUAL:
        near = max(
            [size for size in sizes if size <= _USUAL and _parameters(size, distinct) <= _MOST * training] + [_STEP]
        )
    parameters = _parameters(near, distinct)
    return Suggestion(near, parameters, _DROPOUT if parameters > _FROM * training else 0.0)


def _parameters(units: int, distinct: int) -> int:
    return parameters.count(NetworkSettings(max(1, distinct), (units, units)))

"""What a run's sizes and losses say about its settings: one line of advice each, with the option to change.

Pure functions of plain numbers; the thresholds are measured or sourced where they stand. The measured ones are from
beginnings of Shakespeare's plays (tinyshakespeare), default settings unless said otherwise, the last tenth of each for
validation. Knows nothing about networks, texts, or who shows the advice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

# On other plays than those trained on, a 5-gram model (`benchmarks/ngram.py`) is better than the network by 0.13, 0.24
# and 0.08 nats per character where both have 3,000, 10,000 and 30,000 characters to learn from.
SMALL_TEXT = 30_000
# From one epoch to the next the validation loss wavers: in runs of 3,000 to 100,000 characters it was up to 1.4 % above
# its lowest so far and fell again, but never by more than 1 % twice in a row.
RISE = 1.01
EPOCHS_RISEN = 2
# char-rnn's README: parameters and characters should be of the same order of magnitude, and training and validation
# losses that are about equal mean underfitting. With 27,000 characters, the lowest validation loss was 1.84 nats for
# 2 x 128 units, 9 parameters for each character, and 1.87, in ten times as long, for 512, which are 44.
LARGE_NETWORK = 30
EQUAL = 1.03  # on the same text the ratio of the two was 1.02 with 16 units (2.12 nats), and 1.17 with 64 (1.89)
STILL_FALLING = 0.99  # the last epoch's validation loss beside the one before

Loss = tuple[int, float, float | None]  # the steps made, training and validation loss


@dataclasses.dataclass(frozen=True)
class Advice:
    """A line of advice, and the name of what it is about, by which it is given once."""

    about: str
    line: str


@dataclasses.dataclass(frozen=True)
class Setting:
    """What the advice depends on besides losses. `epochs` is how many the run is to make, rounded up."""

    parameters: int
    training_tokens: int
    token: str
    layers: tuple[int, ...]
    epochs: int
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    patience: int = 0


def at_the_start(setting: Setting) -> Advice | None:
    """Return what the sizes of the text and the network say before anything is trained."""
    tokens = setting.training_tokens
    if tokens < SMALL_TEXT:
        dropout = "" if setting.dropout else ", or make the most of this one with `dropout` 0.3"
        return Advice(
            "small text",
            f"the text is very small: {tokens:,} {setting.token}s to train on, where {SMALL_TEXT:,} are the least to "
            f"learn words from; give more text{dropout}",
        )
    times = setting.parameters / tokens
    smaller = _smaller(setting.layers, (LARGE_NETWORK / 3 / times) ** 0.5)
    if times > LARGE_NETWORK and smaller:  # if not, it is the vocabulary that is large
        return Advice(
            "large network",
            f"the network is very large for the text: {times:.0f} parameters for each {setting.token}; `layers` "
            f"{smaller} would learn as much, and sooner",
        )
    return None


def after_an_epoch(setting: Setting, history: Sequence[Loss]) -> Advice | None:
    """Return what the losses of the epochs so far say: whether the run learns its text by heart."""
    known = [(train, val) for _, train, val in history if val is not None]
    if len(known) <= EPOCHS_RISEN:
        return None
    best = min(range(len(known)), key=lambda n: known[n][1])
    (train_then, lowest), (train_now, now) = known[best], known[-1]
    risen = all(val > RISE * lowest for _, val in known[-EPOCHS_RISEN:])
    if not (risen and train_now < train_then):
        return None
    return Advice(
        "overfitting",
        f"overfitting: the validation loss has risen from {lowest:.3f} to {now:.3f} while the training loss fell; "
        f"{_against_overfitting(setting)}",
    )


def at_the_end(setting: Setting, history: Sequence[Loss]) -> Advice | None:
    """Return what the losses of a run that is at its end say: whether it could have learned more."""
    known = [(train, val) for _, train, val in history if val is not None]
    if not known:
        return None
    train, val = known[-1]
    if len(known) > 1 and val < STILL_FALLING * known[-2][1]:
        fell = 100 * (1 - val / known[-2][1])
        return Advice(
            "underfitting",
            f"underfitting: the validation loss still fell by {fell:.1f} % in the last epoch; train longer, such as "
            f"`epochs` {2 * setting.epochs}",
        )
    # Dropout alone makes the training loss higher than it is without: then the two cannot be compared.
    if setting.dropout or setting.recurrent_dropout or len(known) < 2 or val > EQUAL * train:
        return None
    if setting.parameters > setting.training_tokens:
        return None  # the network is not what keeps it from learning
    return Advice(
        "underfitting",
        f"underfitting: the losses on training and validation text are about equal ({train:.3f} and {val:.3f}); a "
        f"larger network would learn more, such as `layers` {_scaled(setting.layers, 2.0)}",
    )


def _against_overfitting(setting: Setting) -> str:
    # With 27,000 characters, after 40 epochs the validation loss was 21 % above its lowest, with dropout 0.3 8 %; the
    # lowest was 1.84 and 1.83 nats.
    if not setting.dropout:
        other = "`dropout` 0.3"
    elif setting.dropout < 0.5:
        other = f"`dropout` {min(0.6, setting.dropout + 0.2):.1g}"
    else:
        smaller = _smaller(setting.layers, 0.5)
        other = f"`layers` {smaller}" if smaller else "more text"
    stop = "" if setting.patience else "; `patience` 3 would stop here"
    return f"the best weights are kept, and {other} would hold it off{stop}"


def _smaller(layers: Sequence[int], factor: float) -> str:
    """Return smaller layer sizes as the option takes them, or "" if these are as small as is ever advised."""
    sizes = [min(size, int(scaled)) for size, scaled in zip(layers, _scaled(layers, factor).split(","), strict=True)]
    return ",".join(map(str, sizes)) if sizes != list(layers) else ""


def _scaled(layers: Sequence[int], factor: float) -> str:
    """Return layer sizes as the option takes them: made larger or smaller, in multiples of 16."""
    return ",".join(str(max(16, round(factor * size / 16) * 16)) for size in layers)

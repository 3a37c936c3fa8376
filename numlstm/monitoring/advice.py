"""Advice on a run's settings from its sizes and losses: one line each, with the option to change.

Pure functions of plain numbers. Each threshold is measured or cited where it is defined. The measured ones come from
the first characters of Shakespeare's plays (tinyshakespeare), with default settings unless stated otherwise and the
last tenth of each excerpt for validation.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

# On plays outside the training text, a 5-gram model (`benchmarks/ngram.py`) beats the network by 0.13, 0.24 and 0.08
# nats per character when both train on 3,000, 10,000 and 30,000 characters.
SMALL_TEXT = 30_000
# The validation loss fluctuates between epochs: in runs on 3,000 to 100,000 characters it rose up to 1.4 % above its
# lowest so far and fell again, but it was never more than 1 % above twice in a row.
RISE = 1.01
EPOCHS_RISEN = 2
# char-rnn's README: parameters and characters should be of the same order of magnitude, and roughly equal training and
# validation losses mean underfitting. With 27,000 characters, the lowest validation loss was 1.84 nats for 2 x 128
# units (9 parameters per character), and 1.87 nats for 512 units (44 per character), which took ten times as long.
LARGE_NETWORK = 30
EQUAL = 1.03  # on the same text, validation / training loss was 1.02 with 16 units (2.12 nats) and 1.17 with 64 (1.89)
STILL_FALLING = 0.99  # the last epoch's validation loss, relative to the one before

Loss = tuple[int, float, float | None]  # steps so far, training loss, validation loss


@dataclasses.dataclass(frozen=True)
class Advice:
    """A line of advice and its topic, `about`. Each topic is shown once."""

    about: str
    line: str


@dataclasses.dataclass(frozen=True)
class Setting:
    """What the advice depends on besides losses.

    `epochs` is the total for the run, rounded up; `guessing` is the loss of guessing each token at random, in nats;
    `lower_lr` is the learning rate to advise if the network learned nothing.
    """

    parameters: int
    training_tokens: int
    token: str
    layers: tuple[int, ...]
    epochs: int
    guessing: float = math.inf
    lower_lr: float = 0.001
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    patience: int = 0


def before_training(setting: Setting) -> Advice | None:
    """Return advice on the sizes of the text and the network, before training; None if both are fine."""
    tokens = setting.training_tokens
    if tokens < SMALL_TEXT:
        dropout = "" if setting.dropout else ", or train on this one with `dropout` 0.3"
        return Advice(
            "small text",
            f"the text is very small: {tokens:,} {setting.token}s to train on; expected at least {SMALL_TEXT:,} to "
            f"learn words from: use more text{dropout}",
        )
    times = setting.parameters / tokens
    smaller = _smaller(setting.layers, (LARGE_NETWORK / 3 / times) ** 0.5)
    if times > LARGE_NETWORK and smaller:  # otherwise the vocabulary is the large part
        return Advice(
            "large network",
            f"the network is very large for the text: {times:.0f} parameters per {setting.token}; `layers` "
            f"{smaller} would learn as much, and faster",
        )
    return None


def after_epoch(setting: Setting, history: Sequence[Loss]) -> Advice | None:
    """Return advice if the losses so far show overfitting, else None."""
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


def after_training(setting: Setting, history: Sequence[Loss]) -> Advice | None:
    """Return advice if a finished run could have learned more, else None."""
    known = [(train, val) for _, train, val in history if val is not None]
    if not known:
        return None
    train, val = known[-1]
    if val >= setting.guessing:
        return Advice(
            "no learning",
            f"the network learned nothing: its validation loss, {val:.4g} nats, is no lower than that of guessing, "
            f"{setting.guessing:.4g}; lower `lr`, for example to {setting.lower_lr:g}",
        )
    if len(known) > 1 and val < STILL_FALLING * known[-2][1]:
        fell = 100 * (1 - val / known[-2][1])
        return Advice(
            "underfitting",
            f"underfitting: the validation loss still fell by {fell:.1f} % in the last epoch; train longer, for "
            f"example `epochs` {2 * setting.epochs}",
        )
    # Dropout raises the training loss, so the two losses cannot be compared.
    if setting.dropout or setting.recurrent_dropout or len(known) < 2 or val > EQUAL * train:
        return None
    if setting.parameters > setting.training_tokens:
        return None  # the network is large enough
    return Advice(
        "underfitting",
        f"underfitting: the training and validation losses are about equal ({train:.3f} and {val:.3f}); a larger "
        f"network would learn more, for example `layers` {_scaled(setting.layers, 2.0)}",
    )


def _against_overfitting(setting: Setting) -> str:
    # With 27,000 characters, the validation loss after 40 epochs was 21 % above its lowest (1.84 nats). With dropout
    # 0.3 it was 8 % above (1.83 nats).
    if not setting.dropout:
        other = "`dropout` 0.3"
    elif setting.dropout < 0.5:
        other = f"`dropout` {min(0.6, setting.dropout + 0.2):.1g}"
    else:
        smaller = _smaller(setting.layers, 0.5)
        other = f"`layers` {smaller}" if smaller else "more text"
    stop = "" if setting.patience else "; `patience` 3 would stop here"
    return f"the best weights are kept, and {other} would delay overfitting{stop}"


def _smaller(layers: Sequence[int], factor: float) -> str:
    """Return smaller layer sizes in the option's syntax, or "" if they are already the smallest ever advised."""
    sizes = [min(size, int(scaled)) for size, scaled in zip(layers, _scaled(layers, factor).split(","), strict=True)]
    return ",".join(map(str, sizes)) if sizes != list(layers) else ""


def _scaled(layers: Sequence[int], factor: float) -> str:
    """Return scaled layer sizes in the option's syntax, rounded to multiples of 16."""
    return ",".join(str(max(16, round(factor * size / 16) * 16)) for size in layers)

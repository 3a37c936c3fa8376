"""When a target was reached, and which arguments say how long to train."""

from benchmarks.quality import _without_length, seconds_to

POINTS = [
    {"seconds": 1.0, "val_loss": None},
    {"seconds": 2.0, "val_loss": 1.9},
    {"seconds": 3.0, "val_loss": 1.8},
    {"seconds": 4.0, "val_loss": 1.85},
]


def test_a_target_is_reached_when_the_loss_is_first_at_or_below_it():
    assert seconds_to(POINTS, 1.95) == 2.0
    assert seconds_to(POINTS, 1.85) == 3.0
    assert seconds_to(POINTS, 1.8) == 3.0
    assert seconds_to(POINTS, 1.7) is None


def test_the_length_of_the_training_is_taken_out():
    assert _without_length(["--epochs", "1", "--lr", "0.02", "--steps=5"]) == ["--lr", "0.02"]
    assert _without_length(["--layers", "256,256"]) == ["--layers", "256,256"]

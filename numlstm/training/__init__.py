"""Training a network on a text: the loop, the run's state, optimizers, checkpoints."""

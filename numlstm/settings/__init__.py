"""Every setting of a network, a training run and a text, and its range."""

"""The settings of texts, networks, training runs and sampling, with their ranges."""

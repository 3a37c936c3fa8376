"""The models and texts that a server has, by name."""

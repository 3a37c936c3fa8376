"""The models and corpora on a server, by name."""

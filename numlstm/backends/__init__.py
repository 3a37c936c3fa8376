"""Backends: what one offers (`protocol.py`), which there are (`registry.py`), and one package for each."""

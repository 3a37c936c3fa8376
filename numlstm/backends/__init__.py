"""Backends: their interface (`protocol.py`), the registry (`registry.py`), and one package for each."""

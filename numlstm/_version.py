"""The version of numlstm."""

__version__ = "0.1.0"

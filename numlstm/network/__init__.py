"""The network, its parameters, the weights file, and evaluation."""

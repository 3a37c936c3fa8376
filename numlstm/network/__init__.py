"""The network, its parameters, the file that holds them, and its loss on a text."""

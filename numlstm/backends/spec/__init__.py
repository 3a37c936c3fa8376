"""Definitions that all backends share: random numbers, dropout masks, the distribution that tokens are drawn from."""

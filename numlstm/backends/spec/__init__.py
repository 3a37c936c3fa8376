"""What every backend must compute alike: random numbers, dropout masks, and the distribution that tokens are drawn from."""

"""What every backend must compute alike: random numbers, dropout masks, the distribution that tokens are drawn from."""

"""Make one training text from a person's documents and chat exports, clean it, and judge its use for training."""

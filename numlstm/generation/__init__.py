"""Text generation: one text or a batch, stop texts and constraints, and beam search."""

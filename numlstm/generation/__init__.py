"""New text from a network: one text or many side by side, their stops and constraints, and beam search."""

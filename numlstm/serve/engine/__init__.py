"""The thread that writes all texts, and the texts as their clients read them."""

"""Analysis of a network: scores of texts, responses of single cells, gradient checks, and pictures of them."""

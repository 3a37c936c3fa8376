"""What a network has learned, and whether it computes rightly: scores, cells, gradients, and pictures of them."""

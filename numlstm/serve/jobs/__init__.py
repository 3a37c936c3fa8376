"""Training jobs: their list, their queue, and the process that each runs in."""

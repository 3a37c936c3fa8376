"""Training jobs: their list, their queue, and the worker process that each runs in."""

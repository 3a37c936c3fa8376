"""Text as token ids: where it comes from, its vocabulary, and the windows it is trained in."""

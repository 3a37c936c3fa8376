"""Text as token ids: its sources, its vocabulary, and the windows that training reads."""

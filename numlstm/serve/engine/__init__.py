"""The thread that writes all texts, and the streams that clients read them from."""

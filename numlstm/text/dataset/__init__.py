"""A text as token ids: encoded, kept in a file if it is long, and cut into streams or windows."""

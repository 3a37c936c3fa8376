"""A text as token ids: encoded, stored in a file if it is large, and read as streams or windows."""

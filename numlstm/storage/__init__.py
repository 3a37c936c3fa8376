"""Files: atomic writes to local paths and URLs, temporary file names, npz archives, the cache folder."""

"""Where texts come from: files, folders, URLs, named corpora; downloaded, decompressed, decoded."""

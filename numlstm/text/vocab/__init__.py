"""Vocabularies: characters, bytes or words to token ids and back."""

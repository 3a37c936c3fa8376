"""Shared parts of the commands: options, progress display, output files and error messages."""

"""What several commands share: options, progress, output files, errors in words."""

"""Detection data: checks and synthetic sets."""

"""Networks rewritten for speed, without other weights or names."""

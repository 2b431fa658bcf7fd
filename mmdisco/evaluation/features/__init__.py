"""Extraction, cache, neighbours and quality of features."""

"""Classifiers on fixed features, their choice of settings, and scores."""

"""Runs, statistics and reports of the experiments.

Only the tools import this package, and it is not part of the wheel.
"""

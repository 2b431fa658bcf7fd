"""Tests that need a GPU."""

import pytest


def gpu(*values):
    """A parameter, as of ``pytest.param``, whose test needs CUDA."""
    return pytest.param(*values, marks=pytest.mark.gpu)

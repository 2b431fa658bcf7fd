"""Fixtures of the deployment tests."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """One thread: small networks are slower with two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

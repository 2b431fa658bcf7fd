import socket

import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture
def free_port():
    """A TCP port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]

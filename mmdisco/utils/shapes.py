"""Networks whose shapes are needed, and whose weights are not."""

from collections.abc import Callable
from typing import TypeVar

import torch

from mmdisco.errors import InputError

Network = TypeVar('Network')


def without_weights(build: Callable[[], Network]) -> Network:
    """Build a network on the device 'meta', which takes no time and no memory.

    Some networks compute with tensors while they are built (RegNet of timm), which
    needs a real device: they are built on the CPU.

    Args:
        build (Callable): Builds the network.

    Returns:
        nn.Module: The network, for its attributes and shapes.
    """
    try:
        with torch.device('meta'):
            return build()
    except (InputError, RuntimeError):
        with torch.random.fork_rng():
            return build()  # raises again if the fault is not that of the device

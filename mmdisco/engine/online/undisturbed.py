"""Evaluation within a training that leaves modes and random states as they were."""

import random
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import nn


@contextmanager
def undisturbed(*networks: nn.Module) -> Iterator[None]:
    """Evaluate networks during a training without side effects.

    Within the block, the networks are in eval mode, run uncompiled and keep no
    gradients. After it, the mode of each module (some are in eval mode on
    purpose) and the random states of Python, NumPy and torch are restored.

    Args:
        networks (nn.Module): Networks to put into eval mode.
    """
    modes = [
        (module, module.training)
        for network in networks
        for module in network.modules()
    ]
    with _eager(), same_random_states(), torch.no_grad():
        try:
            for module, _ in modes:
                # train() of some networks does more than set this
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training


@contextmanager
def same_random_states() -> Iterator[None]:
    """Restore the random states of Python, NumPy and torch after the block."""
    states = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def _eager() -> AbstractContextManager:
    """Run compiled networks uncompiled.

    Otherwise they would be compiled again for other shapes and modes. Importing
    the compiler is slow, so it is skipped if nothing is compiled; before torch
    2.6 there is no such setting.
    """
    if 'torch._dynamo' in sys.modules and hasattr(torch.compiler, 'set_stance'):
        return torch.compiler.set_stance('force_eager')
    return nullcontext()

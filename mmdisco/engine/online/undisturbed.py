import random
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import nn


@contextmanager
def undisturbed(*networks: nn.Module) -> Iterator[None]:
    """Look at networks amid a training, and leave no trace.

    Within the block, they are in eval mode, not compiled, and no gradient is
    kept. After it,
    each of their modules is in the mode in which it was (some are in eval
    mode on purpose), and the random states of Python, NumPy and torch are
    what they were.

    Args:
        networks (nn.Module): Those to put into eval mode.
    """
    modes = [
        (module, module.training)
        for network in networks
        for module in network.modules()
    ]
    with _eager(), same_random_states(), torch.no_grad():
        try:
            for module, _ in modes:
                # train() of some networks does more than to set this
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training


@contextmanager
def same_random_states() -> Iterator[None]:
    """Leave the random states of Python, NumPy and torch as they are."""
    states = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def _eager() -> AbstractContextManager:
    """Run compiled networks as they were.

    Else they would be compiled once more, for other shapes and modes. To
    import the compiler where nothing is compiled takes longer than the rest;
    before torch 2.6 there is no such setting.
    """
    if 'torch._dynamo' in sys.modules and hasattr(torch.compiler, 'set_stance'):
        return torch.compiler.set_stance('force_eager')
    return nullcontext()

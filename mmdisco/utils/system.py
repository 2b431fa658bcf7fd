import os
from contextlib import contextmanager

import torch
from mmengine.logging import MMLogger


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def quiet_init():
    """Keep mmengine from logging a line for each weight it initialises."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        yield
    finally:
        logger.setLevel(level)


# Multiplications of a matrix product that is worth more than one thread.
WORTH = 10**8


@contextmanager
def threads_for(multiplications: int):
    """Compute small products in one thread.

    Beside a busy process a thread that waits for another makes a small
    problem fifty times slower.

    Args:
        multiplications (int): Of the largest matrix product.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if multiplications > WORTH else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

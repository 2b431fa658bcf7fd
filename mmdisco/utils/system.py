"""Cores, threads and logging."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.logging import MMLogger


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def quiet_init() -> Iterator[None]:
    """Suppress mmengine's log line for each initialised weight."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        yield
    finally:
        logger.setLevel(level)


# Multiplications above which a matrix product gains from several threads.
WORTH = 10**8


@contextmanager
def threads_for(multiplications: int) -> Iterator[None]:
    """Compute small products in one thread.

    On a busy machine, waiting for a second thread makes small problems fifty
    times slower.

    Args:
        multiplications (int): Multiplications of the largest matrix product.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if multiplications > WORTH else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

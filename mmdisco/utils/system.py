"""Cores, threads, processes and logging."""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.logging import MMLogger


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_start_method(num_workers: int) -> str | None:
    """Start method of a loader's workers.

    On Linux they are forked, as in a training by mmengine. With 'forkserver',
    the default from Python 3.14 on, the data set would have to be pickled. A method
    that was set and is not the default is kept.

    Args:
        num_workers (int): Number of workers.

    Returns:
        str | None: Value for ``multiprocessing_context`` of a ``DataLoader``.
    """
    default = multiprocessing.get_all_start_methods()[0]
    chosen = multiprocessing.get_start_method(allow_none=True)
    if num_workers and sys.platform == 'linux' and chosen in (None, default):
        return 'fork'
    return None


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

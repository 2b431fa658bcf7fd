from contextlib import contextmanager

import torch

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

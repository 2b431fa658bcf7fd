from pathlib import Path

import numpy as np

from mmdisco.utils import atomic_write

NEIGHBOURS = 5


def write_bags(dataset: dict, path: Path, images: int) -> dict:
    """Write bags of the images that are next in order, for a smoke test.

    Args:
        dataset (dict): Config of ``Bags``, changed in place.
        path (Path): The file, whose folder is made if need be.
        images (int): How many there are.

    Returns:
        dict: Config of the data set inside.
    """
    steps = 1 + np.arange(min(NEIGHBOURS, images - 1))
    with atomic_write(path) as half, half.open('wb') as file:
        np.save(file, (np.arange(images)[:, None] + steps) % images)
    dataset['neighbours'] = str(path)
    return dataset['dataset']

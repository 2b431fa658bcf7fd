from pathlib import Path
from uuid import uuid4

import numpy as np

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
    path.parent.mkdir(parents=True, exist_ok=True)
    # a name of its own: all ranks write the same
    half = path.with_name(f'{path.name}.{uuid4().hex}.half')
    with half.open('wb') as file:
        np.save(file, (np.arange(images)[:, None] + steps) % images)
    half.replace(path)
    dataset['neighbours'] = str(path)
    return dataset['dataset']

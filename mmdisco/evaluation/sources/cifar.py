from pathlib import Path

import numpy as np
import torch

from mmdisco.datasets import LocalCIFAR10, LocalCIFAR100
from mmdisco.errors import MissingFileError
from .arrays import ArraySource

CIFAR: dict[str, type] = dict(cifar10=LocalCIFAR10, cifar100=LocalCIFAR100)


def open_cifar(root: str, split: str, folder: Path, kind: str) -> ArraySource:
    """CIFAR-10 or CIFAR-100 as published.

    Args:
        root (str): What the user gave.
        split (str): 'train' or 'test'.
        folder (Path): Where ``cifar-10-batches-py`` or ``cifar-100-python``
            is.
        kind (str): 'cifar10' or 'cifar100'.

    Returns:
        ArraySource: Classes have the published names, in their order.

    Raises:
        MissingFileError: If files are missing or not as published (md5).
    """
    cls = CIFAR[kind]
    try:
        data = cls(str(folder), split)
    except MissingFileError as error:  # it speaks of a config
        raise MissingFileError(
            f"'{folder / cls.base_folder}' is not whole or not as published: "
            f"unpack {cls.url} in '{folder}'"
        ) from error
    images = np.stack([data.get_data_info(i)['img'] for i in range(len(data))])
    return ArraySource(
        kind,
        root,
        split,
        torch.from_numpy(images),
        torch.from_numpy(data.get_gt_labels()),
        list(data.CLASSES),
    )

from pathlib import Path

from mmdisco.datasets import IDXImages
from mmdisco.errors import InputError
from .arrays import ArraySource
from .numbered import numbered_classes


def open_idx(
    root: str, split: str, folder: Path, num_classes: int | None
) -> ArraySource:
    """The IDX files of MNIST and Fashion-MNIST.

    Args:
        root (str): What the user gave.
        split (str): 'train' or 'test'.
        folder (Path): Where the files are.
        num_classes (int, optional): How many classes there are; None for as
            many as the largest label tells.

    Returns:
        ArraySource: Classes are '0', '1' and so on.

    Raises:
        InputError: If a file is missing or damaged, or labels don't fit.
    """
    data = IDXImages(str(folder), split)
    images = data.images.squeeze(1)  # [N, H, W]
    if images.ndim != 3:
        raise InputError(
            f"the {split} images of '{folder}' are of shape "
            f'{tuple(images.shape)}, should be [N, H, W]'
        )
    classes = numbered_classes(data.labels, num_classes, str(folder))
    return ArraySource('idx', root, split, images, data.labels, classes)

import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmdisco.datasets import IDXImages, LocalCIFAR10, LocalCIFAR100
from mmdisco.errors import InputError, MissingFileError
from .source import Source, numbered_classes


class ArraySource(Source):
    """Images kept in memory, named by their number: 'train/000012'.

    Args:
        kind (str): 'cifar10', 'cifar100' or 'idx'.
        root (str): What the user gave.
        split (str): 'train' or 'test'.
        images (Tensor): uint8, grey [N, H, W] or in RGB [N, H, W, 3].
        labels (Tensor): [N].
        classes (List[str]): Names of the labels.
    """

    def __init__(
        self,
        kind: str,
        root: str,
        split: str,
        images: Tensor,
        labels: Tensor,
        classes: list[str],
    ) -> None:
        names = [f'{split}/{i:06d}' for i in range(len(images))]
        super().__init__(root, split, names, labels, classes)
        self.kind = kind
        self.images = images
        self.sizes = [*images.shape, zlib.crc32(images.numpy())]

    def load(self, index: int) -> Image.Image:
        return Image.fromarray(self.images[index].numpy())


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

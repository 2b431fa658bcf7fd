"""Images in memory: CIFAR and IDX files."""

import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmdisco.datasets import IDXImages, LocalCIFAR10, LocalCIFAR100
from mmdisco.datasets.archive_labels import numbered_classes
from mmdisco.errors import InputError, MissingFileError
from .source import Source


class ArraySource(Source):
    """Images in memory, named by their index: 'train/000012'.

    Args:
        kind (str): 'cifar10', 'cifar100' or 'idx'.
        root (str): Path given by the user.
        split (str): 'train' or 'test'.
        images (Tensor): uint8, grey [N, H, W] or RGB [N, H, W, 3].
        labels (Tensor): Class indices, [N].
        classes (list[str]): Names of the classes.
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
        self.sizes = [*images.shape, zlib.crc32(images.numpy().data)]

    def load(self, index: int) -> Image.Image:
        """Return one image."""
        return Image.fromarray(self.images[index].numpy())


CIFAR: dict[str, type[LocalCIFAR10] | type[LocalCIFAR100]] = dict(
    cifar10=LocalCIFAR10, cifar100=LocalCIFAR100
)


def open_cifar(root: str, split: str, folder: Path, kind: str) -> ArraySource:
    """Open CIFAR-10 or CIFAR-100.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'.
        folder (Path): Folder of ``cifar-10-batches-py`` or
            ``cifar-100-python``.
        kind (str): 'cifar10' or 'cifar100'.

    Returns:
        ArraySource: Classes with the published names, in their order.

    Raises:
        MissingFileError: If files are missing or differ from those published
            (MD5).
    """
    cls = CIFAR[kind]
    try:
        data = cls(str(folder), split)
    except MissingFileError as error:  # its message is about a config
        raise MissingFileError(
            f"'{folder / cls.base_folder}' is incomplete or not as published: "
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
    """Open IDX files, the format of MNIST and Fashion-MNIST.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'.
        folder (Path): Folder of the files.
        num_classes (int, optional): Number of classes. Defaults to None: the
            largest label + 1.

    Returns:
        ArraySource: Classes '0', '1' and so on.

    Raises:
        InputError: If a file is missing or damaged, or labels don't fit.
    """
    data = IDXImages(str(folder), split)
    images = data.images.squeeze(1)  # [N, H, W]
    if images.ndim != 3:
        raise InputError(
            f"the {split} images of '{folder}' have shape "
            f'{tuple(images.shape)}, should be [N, H, W]'
        )
    classes = numbered_classes(data.labels, num_classes, str(folder))
    return ArraySource('idx', root, split, images, data.labels, classes)

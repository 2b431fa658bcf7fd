"""Packed images with an index."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from mmdisco.datasets.listing import Tally
from mmdisco.datasets.packed import PackedImages, describe, open_packed
from .source import Source


class PackedSource(Source):
    """Some of the images of a folder of shards.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'; '' for photos without labels.
        images (PackedImages): Index of the folder.
        rows (np.ndarray): Indices of the images there, [N].

    Attributes:
        tally (Tally): Counts of the images, as of the files of a folder.
    """

    kind = 'packed'

    def __init__(
        self, root: str, split: str, images: PackedImages, rows: np.ndarray
    ) -> None:
        labels = images.labels[rows] if split and images.labels is not None else None
        super().__init__(
            root,
            split,
            [images.names[row] for row in rows],
            None if labels is None else labels.tolist(),
            images.classes if split else (),
        )
        self.images = images
        self.rows = rows
        self.sizes = images.size[rows].tolist()
        self.tally: Tally | None = images.tally()

    def part(self, rows: list[int]) -> 'PackedSource':
        """The images of some indices."""
        return PackedSource(self.root, self.split, self.images, self.rows[rows])

    def read(self, index: int) -> bytes:
        """Content of one image's file."""
        return self.images.read(self.rows[index])

    def load(self, index: int) -> Image.Image:
        """Open one image."""
        return Image.open(BytesIO(self.read(index)))

    def where(self, index: int) -> str:
        """Name and shard of the image."""
        return describe(self.images.path(self.rows[index]))


def open_packed_source(root: str, split: str, folder: str | Path) -> PackedSource:
    """Open a folder of packed images.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test', labelled and by class and name; '' for
            photos by name, without labels.
        folder (str or Path): The folder.

    Returns:
        PackedSource: The images in the order of the folder that was packed.

    Raises:
        InputError: If the index is damaged, or there are no classes.
    """
    images = open_packed(folder)
    rows = images.class_order() if split else np.arange(len(images))
    return PackedSource(root, split, images, rows)

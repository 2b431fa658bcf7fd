"""Random scenes: garments pasted into crops of photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmdisco.datasets.decode import to_rgb
from .images import Garments

MOST = 4  # objects in an image
SIDES = (24 / 128, 64 / 128)  # range of an object's longer side, in image sides
OVERLAP = 0.1  # largest common area, relative to the smaller of two boxes
TRIES = 20  # attempts to place an object before it is left out


class Scene(NamedTuple):
    """An image and its objects.

    Attributes:
        image (np.ndarray): RGB, uint8, [S, S, 3].
        labels (list[int]): Class of each object.
        masks (list[np.ndarray]): Visible pixels of each object, bool, [S, S].
        garments (list[int]): Index of each object in its split.
        photograph (str): File name of the background.
    """

    image: np.ndarray
    labels: list[int]
    masks: list[np.ndarray]
    garments: list[int]
    photograph: str

    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Boxes of the visible pixels: inclusive (left, top, right, bottom), from 0."""
        boxes = []
        for mask in self.masks:
            rows, columns = (np.flatnonzero(mask.any(a)) for a in (1, 0))
            boxes.append(
                (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
            )
        return boxes


class Scenes:
    """Garments pasted into crops of photographs.

    A scene depends on its index, the seed and the split, not on the number of
    scenes.

    Args:
        garments (Garments): Objects to paste.
        photos (Sequence[Path]): Files of the photographs.
        size (int): Side of the images, in pixels.
        key (Sequence[int]): Seed of all scenes: the user's seed and the number
            of the split.
    """

    def __init__(
        self, garments: Garments, photos: Sequence[Path], size: int, key: Sequence[int]
    ) -> None:
        self.garments = garments
        self.photos = [(path.name, to_rgb(Image.open(path))) for path in photos]
        self.size = size
        self.key = key

    def __getitem__(self, index: int) -> Scene:
        """Draw a scene."""
        rng = np.random.default_rng([*self.key, index])
        name, photo = self.photos[rng.integers(len(self.photos))]
        image = self._background(rng, photo)  # [S, S, 3]
        owner = np.full(image.shape[:2], -1)  # [S, S], object of each pixel
        boxes: list[tuple[int, int, int, int]] = []
        labels: list[int] = []
        chosen: list[int] = []
        for _ in range(rng.integers(1, MOST + 1)):
            garment = int(rng.integers(len(self.garments)))
            side = round(rng.uniform(*SIDES) * self.size)
            grey, mask = self.garments.upscaled(
                garment, side, rng.random() < 0.5
            )  # [H, W]
            # random colour: grey would identify the objects
            colour = rng.uniform(0.3, 1, 3)
            box = self._room(rng, mask.shape, boxes)
            if box is None:
                continue
            left, top, right, bottom = box
            part = slice(top, bottom), slice(left, right)
            image[part][mask] = np.rint(grey[mask][:, None] * colour)
            owner[part][mask] = len(boxes)
            boxes.append(box)
            labels.append(int(self.garments.labels[garment]))
            chosen.append(garment)
        return Scene(
            image, labels, [owner == i for i in range(len(boxes))], chosen, name
        )

    def _background(self, rng: np.random.Generator, photo: Image.Image) -> np.ndarray:
        """Random square crop of a photograph, mirrored or not, [S, S, 3]."""
        side = round(min(photo.size) * rng.uniform(0.4, 1))
        left, top = (int(rng.integers(n - side + 1)) for n in photo.size)
        crop = photo.resize(
            (self.size, self.size),
            Image.Resampling.BILINEAR,
            (left, top, left + side, top + side),
        )
        return np.array(crop)[:, :: -1 if rng.random() < 0.5 else 1].copy()

    def _room(
        self, rng: np.random.Generator, shape: tuple[int, ...], taken: Sequence[tuple]
    ) -> tuple[int, int, int, int] | None:
        """Place a box of this shape with little overlap; None if that fails."""
        height, width = shape
        for _ in range(TRIES):
            left = int(rng.integers(self.size - width + 1))
            top = int(rng.integers(self.size - height + 1))
            box = left, top, left + width, top + height
            if all(_shared(box, other) < OVERLAP for other in taken):
                return box
        return None


def _shared(a: tuple, b: tuple) -> float:
    """Common area of two boxes, relative to the smaller one."""
    width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    return width * height / min((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))

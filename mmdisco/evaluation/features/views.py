"""Crops of images before the backbone: central, or random for several views."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, v2

from mmdisco.errors import InputError
from ..sources import Source


class Crop(NamedTuple):
    """Resize and crop of an image before the backbone.

    Args:
        resize (int, optional): Shorter edge in pixels; None leaves the image
            unchanged, together with ``crop``.
        crop (int, optional): Side in pixels of the central crop or of a
            random view.
        interpolation (str): 'bilinear' or 'bicubic', antialiased.
        scale (float): Minimum share of the image's area in a random view.
    """

    resize: int | None = 256
    crop: int | None = 224
    interpolation: str = 'bilinear'
    scale: float = 0.08


# Sources of small images: IDX files, as of MNIST, keep their size; CIFAR is
# resized as in the paper's protocol.
DEFAULTS = dict(
    idx=Crop(None, None),
    cifar10=Crop(224, 224, 'bicubic'),
    cifar100=Crop(224, 224, 'bicubic'),
)


class ImageViews(Dataset):
    """One view of each image: the central crop, or a random crop and flip.

    A random view is reproducible: it depends only on the seed, the index of the
    view and that of the image.

    Args:
        source (Source): Images.
        crop (Crop): Crop of the images.
        view (int, optional): Index of a random view. Defaults to None: the
            central crop.
        seed (int): Seed of random views. Defaults to 0.

    Raises:
        InputError: If the crop is larger than the resized image.
    """

    def __init__(
        self, source: Source, crop: Crop, view: int | None = None, seed: int = 0
    ) -> None:
        if crop.resize and crop.crop and crop.crop > crop.resize:
            raise InputError(
                f'the crop of {crop.crop} pixels exceeds the edge of '
                f'{crop.resize}: set --resize to at least the crop'
            )
        self.source, self.crop = source, crop
        self.view, self.seed = view, seed
        self.mode = InterpolationMode(crop.interpolation)
        self.centre = (
            v2.Compose(
                [
                    v2.Resize(crop.resize, self.mode, antialias=True),
                    v2.CenterCrop(crop.crop),
                ]
            )
            if crop.resize
            else v2.Identity()
        )

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Tensor:
        """Image as uint8 RGB, [3, H, W]."""
        image = self.source[index]
        if self.view is None:
            return v2.functional.pil_to_tensor(self.centre(image))
        random = v2.Compose(
            [
                v2.RandomResizedCrop(
                    self.crop.crop or image.size[::-1],
                    (self.crop.scale, 1.0),
                    interpolation=self.mode,
                    antialias=True,
                ),
                v2.RandomHorizontalFlip(),
            ]
        )
        with torch.random.fork_rng(devices=()):
            # torch uses the lower 32 bits of a seed
            torch.manual_seed(
                int(
                    np.random.SeedSequence(
                        [self.seed, self.view, index]
                    ).generate_state(1)[0]
                )
            )
            return v2.functional.pil_to_tensor(random(image))


def batch_of(images: Sequence[Tensor]) -> Tensor:
    """Stack images of one size, [N, 3, H, W].

    Args:
        images (Sequence[Tensor]): Images, [3, H, W] each.

    Raises:
        InputError: If they differ in size.
    """
    shapes = {tuple(image.shape[1:]) for image in images}
    if len(shapes) > 1:
        sizes = ' and '.join('x'.join(map(str, s)) for s in sorted(shapes)[:2])
        raise InputError(
            f'one batch has images of {sizes} pixels: set --resize and --crop'
        )
    return torch.stack(list(images))

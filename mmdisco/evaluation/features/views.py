from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, v2

from mmdisco.errors import InputError
from ..sources import Source


class Crop(NamedTuple):
    """How an image is cut before a backbone takes it.

    Args:
        resize (int, optional): Pixels of the shorter edge; None leaves the
            image as it is, with ``crop``, too.
        crop (int, optional): Pixels of the square in the middle, or of a
            random view.
        interpolation (str): 'bilinear' or 'bicubic', antialiased.
        scale (float): Least share of the image's area in a random view.
    """

    resize: int | None = 256
    crop: int | None = 224
    interpolation: str = 'bilinear'
    scale: float = 0.08


# Sources whose images are small: those of MNIST's kind stay as they are,
# CIFAR's are enlarged as in the paper's protocol.
DEFAULTS = dict(
    idx=Crop(None, None),
    cifar10=Crop(224, 224, 'bicubic'),
    cifar100=Crop(224, 224, 'bicubic'),
)


class ImageViews(Dataset):
    """One view of each image: the middle, or a random one with a flip.

    A random view is the same whenever and wherever it is made: it depends on
    the seed, the number of the view and that of the image alone.

    Args:
        source (Source): Images.
        crop (Crop): How they are cut.
        view (int, optional): Number of a random view; None is the middle.
            Defaults to None.
        seed (int): Of random views. Defaults to 0.

    Raises:
        InputError: If the crop is larger than the image.
    """

    def __init__(
        self, source: Source, crop: Crop, view: int | None = None, seed: int = 0
    ) -> None:
        if crop.resize and crop.crop > crop.resize:
            raise InputError(
                f'a crop of {crop.crop} pixels of an edge of '
                f'{crop.resize}: resize to as many or more'
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
        """uint8 in RGB, [3, H, W]."""
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
            # torch takes the lower 32 bits of a seed
            torch.manual_seed(
                int(
                    np.random.SeedSequence(
                        [self.seed, self.view, index]
                    ).generate_state(1)[0]
                )
            )
            return v2.functional.pil_to_tensor(random(image))


def batch_of(images) -> Tensor:
    """Stack images of one size, [N, 3, H, W].

    Raises:
        InputError: If they differ in size.
    """
    shapes = {tuple(image.shape[1:]) for image in images}
    if len(shapes) > 1:
        sizes = ' and '.join('x'.join(map(str, s)) for s in sorted(shapes)[:2])
        raise InputError(
            f'images of {sizes} pixels in one batch: set --resize and --crop'
        )
    return torch.stack(images)

"""Features of images from Python, as in the evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmdisco.datasets.decode import WHITE, to_rgb
from mmdisco.errors import InputError, MissingFileError
from mmdisco.evaluation.features.encoder import open_encoder
from mmdisco.evaluation.features.extract import embed
from mmdisco.evaluation.features.views import ImageViews
from mmdisco.evaluation.session import Settings
from mmdisco.evaluation.sources import Source
from mmdisco.utils import available_cores
from .photos import Extracted, SkippingPhotos

ImageInput = str | Path | Image.Image | np.ndarray


class GivenImages(Source):
    """Images passed by the caller: paths, PIL images or arrays.

    Args:
        images (Sequence[ImageInput]): At least one. Arrays are uint8, RGB (not
            BGR as in mmcv and OpenCV), [H, W, 3].
        background (tuple[int, int, int]): RGB colour under transparent
            pixels. Defaults to white.

    Raises:
        MissingFileError: If a file does not exist.
        InputError: If ``images`` is empty or an image has another type or
            shape.
    """

    kind = 'given'

    def __init__(
        self, images: Sequence[ImageInput], background: tuple[int, int, int] = WHITE
    ) -> None:
        if not images:
            raise InputError('no images: the list is empty')
        super().__init__('', '', [*map(str, range(len(images)))], None)
        self.images = images
        self.background = background
        for index in range(len(images)):
            self._check(index)

    def load(self, index: int) -> Image.Image:
        """Open one image; a PIL image of the caller is copied."""
        image = self.images[index]
        if isinstance(image, Image.Image):
            return to_rgb(image, self.background)  # the caller's stays open
        if isinstance(image, np.ndarray):
            return Image.fromarray(image)
        return Image.open(Path(image).expanduser())

    def where(self, index: int) -> str:
        """Name of the image in messages: its path or its index."""
        image = self.images[index]
        return (
            f"'{image}'"
            if isinstance(image, (str, Path))
            else f'{index} of {len(self)}, counted from 0,'
        )

    def _check(self, index: int) -> None:
        image, where = self.images[index], self.where(index)
        if isinstance(image, (str, Path)):
            path = Path(image).expanduser()
            if path.is_dir():
                raise InputError(f'{where} is a folder: use extract_folder')
            if not path.is_file():
                raise MissingFileError(f'image {where} not found')
        elif isinstance(image, np.ndarray):
            shape = image.shape
            if (
                image.dtype != np.uint8
                or image.ndim != 3
                or shape[2] != 3
                or not image.size
            ):
                raise InputError(
                    f'image {where} is an array of {image.dtype}, shape '
                    f'{shape}: should be uint8, RGB, [H, W, 3]'
                )
        elif not isinstance(image, Image.Image):
            raise InputError(
                f'image {where} is of type {type(image).__name__}: should be '
                'a path, a PIL image or an array'
            )


INTERPOLATIONS = 'bilinear', 'bicubic'


class FeatureExtractor:
    """Image features from a frozen backbone, the same as in the evaluation.

    A feature is the mean over positions of the last feature map, or the class
    token. Images are normalised as the checkpoint's config specifies.

    Args:
        model (str or Path): A checkpoint in any supported layout, a model name
            of the zoo or of mmpretrain, or a config of either library.
        checkpoint (str or Path, optional): Weights for a config or a model
            name. Defaults to None: a named model's weights are downloaded.
        arch (str, optional): Network of a checkpoint that does not record it.
        device (str or torch.device, optional): Defaults to None: CUDA if
            available.
        resize (int, optional): Shorter edge after resizing, in pixels. Defaults to
            None: 8/7 of ``crop``.
        crop (int, optional): Edge of the centre crop, in pixels. Defaults to None:
            the size of the training if the file states it, else 224.
        interpolation (str): 'bilinear' or 'bicubic', antialiased. Defaults to
            'bilinear'.
        batch_size (int): Images per forward pass. Defaults to 64.
        background (tuple[int, int, int]): RGB colour under transparent
            pixels. Defaults to white.

    Raises:
        MissingFileError: If a file does not exist.
        InputError: If the model or device is unknown, the weights do not fit
            the model, a size is not a positive integer, or ``crop`` is larger
            than ``resize``.

    Example:
        >>> from mmdisco.apis import FeatureExtractor
        >>> extractor = FeatureExtractor('student.pth')
        >>> extractor(['cat.jpg', 'dog.jpg']).shape
        (2, 1280)
        >>> names, features, skipped = extractor.extract_folder('photos')
    """

    def __init__(
        self,
        model: str | Path,
        checkpoint: str | Path | None = None,
        arch: str | None = None,
        device: str | torch.device | None = None,
        resize: int | None = None,
        crop: int | None = None,
        interpolation: str = 'bilinear',
        batch_size: int = 64,
        background: tuple[int, int, int] = WHITE,
    ) -> None:
        for name, value in dict(
            resize=resize, crop=crop, batch_size=batch_size
        ).items():
            chosen = value is None and name != 'batch_size'
            if not (chosen or (isinstance(value, int) and value >= 1)):
                raise InputError(f'{name} is {value!r}, should be a positive integer')
        if resize and crop and crop > resize:
            raise InputError(
                f'crop is {crop}, larger than resize, {resize}: '
                'increase resize or reduce crop'
            )
        if interpolation not in INTERPOLATIONS:
            raise InputError(
                f'interpolation is {interpolation!r}, should be '
                f'one of {", ".join(INTERPOLATIONS)}'
            )
        self.batch_size = batch_size
        self.background = (*background,)
        encoder = open_encoder(
            str(model), None if checkpoint is None else str(checkpoint), arch
        )
        settings = Settings(
            str(model), resize=resize, crop=crop, interpolation=interpolation
        )
        self.crop = settings.crop_of('folder', encoder.size)
        device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
        try:
            self.encoder = encoder.to(device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).strip().split('\n')[0]
            raise InputError(f"device '{device}' can't be used: {reason}") from error

    def __call__(self, images: ImageInput | Sequence[ImageInput]) -> np.ndarray:
        """Embed one image or several.

        Args:
            images (str, Path, PIL.Image.Image, np.ndarray or a list of them):
                Images of any size. Arrays are uint8, RGB (not BGR as in mmcv
                and OpenCV), [H, W, 3].

        Returns:
            np.ndarray: float32, [N, D], in the given order; N is 1 for one
            image.

        Raises:
            MissingFileError: If a file does not exist.
            InputError: If an image can't be read or has another type or
                shape.
        """
        several = (
            images if isinstance(images, (list, tuple)) else [cast(ImageInput, images)]
        )
        return self._embed(GivenImages(several, self.background))

    def extract_folder(self, path: str | Path) -> Extracted:
        """Embed the photos of a folder, at any depth.

        This method does not split the images between processes: for that use
        ``tools/extract_features.py --launcher``.

        Args:
            path (str or Path): The folder.

        Returns:
            Extracted: ``names``, paths below the folder, sorted; their
            ``features``, float32, [N, D]; ``skipped``, names of images that
            can't be read, also logged as a warning. One log line counts all
            files.

        Raises:
            MissingFileError: If the folder does not exist.
            InputError: If the folder has no readable image.
        """
        photos = SkippingPhotos(str(path), self.background)
        return photos.extracted(self._embed(photos, available_cores(), 'photos'))

    def _embed(
        self, source: Source, num_workers: int = 0, label: str = ''
    ) -> np.ndarray:
        batches: Sequence[Tensor] = torch.arange(len(source)).split(self.batch_size)
        embedded = embed(
            self.encoder, ImageViews(source, self.crop), batches, num_workers, label
        )
        return np.concatenate([features for _, features in embedded])  # [N, D]

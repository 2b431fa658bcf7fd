from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmdisco.datasets.decode import WHITE, to_rgb
from mmdisco.errors import InputError, MissingFileError
from mmdisco.evaluation.features.encoder import open_encoder
from mmdisco.evaluation.features.extract import embed
from mmdisco.evaluation.features.views import Crop, ImageViews
from mmdisco.evaluation.sources import Source
from mmdisco.utils import available_cores
from .photos import Extracted, SkippingPhotos

ImageInput = str | Path | Image.Image | np.ndarray


class GivenImages(Source):
    """Images given by the caller: paths, PIL images or arrays.

    Args:
        images (Sequence[ImageInput]): At least one. Arrays are uint8 in RGB,
            [H, W, 3], not BGR as read by mmcv and OpenCV.
        background (tuple[int, int, int]): Colour behind transparent pixels,
            in RGB. Defaults to white.

    Raises:
        MissingFileError: If a file does not exist.
        InputError: If there are no images, or one has another type or shape.
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
        image = self.images[index]
        if isinstance(image, Image.Image):
            return to_rgb(image, self.background)  # the caller closes it
        if isinstance(image, np.ndarray):
            return Image.fromarray(image)
        return Image.open(Path(image).expanduser())

    def where(self, index: int) -> str:
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
                    f'{shape}: should be uint8 in RGB, [H, W, 3]'
                )
        elif not isinstance(image, Image.Image):
            raise InputError(
                f'image {where} is of type {type(image).__name__}: should be '
                'a path, a PIL image or an array'
            )


INTERPOLATIONS = 'bilinear', 'bicubic'


class FeatureExtractor:
    """Extracts features with a frozen backbone, as in evaluation.

    Features are the mean over positions of the last feature map, or the class
    token. Images are normalised as specified by the checkpoint's config.

    Args:
        model (str or Path): A checkpoint in any supported layout; the name of
            a model of the zoo or of mmpretrain; or a config of either.
        checkpoint (str or Path, optional): Weights for a config or a named
            model. Defaults to None: a named model's weights are downloaded.
        arch (str, optional): Network of a checkpoint that does not name it.
        device (str or torch.device, optional): Defaults to None: CUDA if
            available, else the CPU.
        resize (int): Length of the shorter edge in pixels. Defaults to 256.
        crop (int): Size of the centre crop in pixels. Defaults to 224.
        interpolation (str): 'bilinear' or 'bicubic', antialiased. Defaults to
            'bilinear'.
        batch_size (int): Images per forward pass. Defaults to 64.
        background (tuple[int, int, int]): Colour behind transparent pixels,
            in RGB. Defaults to white.

    Raises:
        MissingFileError: If a file does not exist.
        InputError: If the model or device is unknown, the file does not fit
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
        resize: int = 256,
        crop: int = 224,
        interpolation: str = 'bilinear',
        batch_size: int = 64,
        background: tuple[int, int, int] = WHITE,
    ) -> None:
        for name, value in dict(
            resize=resize, crop=crop, batch_size=batch_size
        ).items():
            if not isinstance(value, int) or value < 1:
                raise InputError(f'{name} is {value!r}, should be a positive integer')
        if crop > resize:
            raise InputError(
                f'crop is {crop}, larger than resize, {resize}: '
                'set resize to at least crop'
            )
        if interpolation not in INTERPOLATIONS:
            raise InputError(
                f'interpolation is {interpolation!r}, should be '
                f'one of {", ".join(INTERPOLATIONS)}'
            )
        self.crop = Crop(resize, crop, interpolation)
        self.batch_size = batch_size
        self.background = tuple(background)
        encoder = open_encoder(
            str(model), None if checkpoint is None else str(checkpoint), arch
        )
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
                Of any size. Arrays are uint8 in RGB, [H, W, 3], not BGR as
                read by mmcv and OpenCV.

        Returns:
            np.ndarray: float32, [N, D], in the given order; N is 1 for one
            image.

        Raises:
            MissingFileError: If a file does not exist.
            InputError: If an image can't be read, or has another type or
                shape.
        """
        if not isinstance(images, (list, tuple)):
            images = [images]
        return self._embed(GivenImages(images, self.background))

    def extract_folder(self, path: str | Path) -> Extracted:
        """Embed the photos of a folder, at any depth.

        For several processes use ``tools/extract_features.py --launcher``;
        here each process embeds all images.

        Args:
            path (str or Path): The folder.

        Returns:
            Extracted: ``names``, sorted paths relative to the folder;
            ``features``, float32, [N, D]; and ``skipped``, the names of
            unreadable images, with a warning. One line of the log counts all
            files.

        Raises:
            MissingFileError: If the folder does not exist.
            InputError: If it contains no readable image.
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

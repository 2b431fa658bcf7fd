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
    """Images as a caller has them: paths, PIL's, or arrays.

    Args:
        images (Sequence[ImageInput]): At least one. An array is uint8 in RGB,
            [H, W, 3]: not BGR, as mmcv and OpenCV read images.
        background (tuple[int, int, int]): Colour below what is transparent,
            in RGB. Defaults to white.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If there is no image, or one of another type or shape.
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
            return to_rgb(image, self.background)  # it stays open
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
                'a path, an image of PIL, or an array'
            )


INTERPOLATIONS = 'bilinear', 'bicubic'


class FeatureExtractor:
    """Features of images by a frozen backbone, as the evaluation sees them.

    Means over positions of the last feature map, or the class token; the
    channels are normalised as the checkpoint's config tells.

    Args:
        model (str or Path): A checkpoint of any layout that is known; a model
            of the zoo, or of mmpretrain's; or a config, of either library.
        checkpoint (str or Path, optional): Weights of a config, or of a model
            that is named; without, a named model's are downloaded.
        arch (str, optional): Network of a checkpoint that does not tell.
        device (str or torch.device, optional): Defaults to None: CUDA if it
            is there.
        resize (int): Pixels of the shorter edge. Defaults to 256.
        crop (int): Pixels of the square in the middle. Defaults to 224.
        interpolation (str): 'bilinear' or 'bicubic', antialiased. Defaults to
            'bilinear'.
        batch_size (int): Images at once. Defaults to 64.
        background (tuple[int, int, int]): Colour below what is transparent,
            in RGB. Defaults to white.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If there is no such model or device, the file does not fit
            it, a size is no positive number, or ``crop`` is larger than
            ``resize``.

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
                raise InputError(f'{name} is {value!r}, should be a positive number')
        if crop > resize:
            raise InputError(
                f'crop is {crop}, larger than resize, {resize}: '
                'resize to as many pixels or more'
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
                Of any size. An array is uint8 in RGB, [H, W, 3]: not BGR, as
                mmcv and OpenCV read images.

        Returns:
            np.ndarray: float32, [N, D], in the given order; N is 1 for one
            image.

        Raises:
            MissingFileError: If there is no such file.
            InputError: If one can't be read, or is of another type or shape.
        """
        if not isinstance(images, (list, tuple)):
            images = [images]
        return self._embed(GivenImages(images, self.background))

    def extract_folder(self, path: str | Path) -> Extracted:
        """Embed the photos of a folder, at any depth.

        Several processes: ``tools/extract_features.py --launcher``; here each
        would take all images.

        Args:
            path (str or Path): The folder.

        Returns:
            Extracted: ``names``, paths below the folder in sorted order;
            their ``features``, float32, [N, D]; and the names that were
            ``skipped``, with a warning, as they can't be read. One line of
            the log counts all files.

        Raises:
            MissingFileError: If there is no such folder.
            InputError: If it holds no image, or none that can be read.
        """
        photos = SkippingPhotos(str(path), self.background)
        return photos.extracted(self._embed(photos, available_cores(), 'photos'))

    def _embed(
        self, source: Source, num_workers: int = 0, told: str = ''
    ) -> np.ndarray:
        batches: Sequence[Tensor] = torch.arange(len(source)).split(self.batch_size)
        found = embed(
            self.encoder, ImageViews(source, self.crop), batches, num_workers, told
        )
        return np.concatenate([features for _, features in found])  # [N, D]

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmdisco.datasets.decode import WHITE, to_rgb
from mmdisco.errors import InputError, MissingFileError
from mmdisco.evaluation.sources import Source

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

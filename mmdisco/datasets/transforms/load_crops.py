"""Loading of an image with random crops, at a reduced size where possible."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmpretrain.registry import TRANSFORMS
from PIL import ExifTags, Image
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as F

from mmdisco.errors import InputError
from ..decode import WHITE, to_rgb

FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
END = b'\xff\xd9'  # the marker that ends every JPEG file


def decode_jpeg(content: bytes, header: Image.Image, divisor: int = 1) -> np.ndarray:
    """Decode an upright colour JPEG file.

    OpenCV's decoder gives the same pixels as PIL in three quarters of the
    time, but fills the missing part of a truncated file with grey. A file
    without end marker is therefore decoded by PIL.

    Args:
        content (bytes): Content of the file.
        header (Image.Image): The file, opened by PIL but not loaded.
        divisor (int): Divisor of the size: 1, 2, 4 or 8. Defaults to 1.

    Returns:
        np.ndarray: RGB, uint8 [H / divisor, W / divisor, 3], rounded up.

    Raises:
        OSError: If the file is truncated or broken.
    """
    pixels = None
    if content.endswith(END):
        pixels = cv2.imdecode(
            np.frombuffer(content, np.uint8),
            FLAGS[divisor] | cv2.IMREAD_IGNORE_ORIENTATION,
        )
    if pixels is not None:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, pixels)
    if divisor > 1:
        width, height = header.size
        header.draft(None, (width // divisor, height // divisor))
    return np.array(header)


ORIENTATION = ExifTags.Base.Orientation


def is_plain_jpeg(image: Image.Image) -> bool:
    """Whether :func:`decode_jpeg` reads an image, as opened, as ``to_rgb`` does."""
    return (
        image.format == 'JPEG'
        and image.mode == 'RGB'
        and image.getexif().get(ORIENTATION, 1) == 1
    )


@TRANSFORMS.register_module()
class LoadCrops(BaseTransform):
    """Decode an image once and cut the random crops of all views.

    A JPEG file is decoded at 1/2, 1/4 or 1/8 of its size if no crop needs
    more: the crops are drawn first, from the size in the file's header.

    **Required keys:** img_path. **Added keys:** img, a list of RGB crops,
    uint8 tensors [3, size, size]; img_shape; ori_shape.

    Args:
        size (int): Side of a crop after resizing. Defaults to 224.
        num_views (int): Number of crops. Defaults to 2.
        scale (tuple[float, float]): Range of a crop's area, as a fraction of
            the image's. Defaults to (.2, 1.).
        ratio (tuple[float, float]): Range of width / height of a crop.
            Defaults to (3 / 4, 4 / 3).
        scaled_decoding (bool): Whether to decode at a reduced size where
            possible. Defaults to True.
        background (tuple[int, int, int]): RGB colour under transparent
            pixels. Defaults to white.
        backend_args (dict, optional): Arguments of mmengine's file backend.
            Defaults to None.

    Raises:
        InputError: If a number is out of range. When called, the exceptions
            of :func:`~mmdisco.datasets.decode.to_rgb` if the file can't be
            read completely.
    """

    def __init__(
        self,
        size: int = 224,
        num_views: int = 2,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        scaled_decoding: bool = True,
        background: tuple[int, int, int] = WHITE,
        backend_args: dict | None = None,
    ) -> None:
        if size < 1 or num_views < 1:
            raise InputError(
                f'size={size}, num_views={num_views}: positive numbers expected'
            )
        for name, (low, high), top in (
            ('scale', scale, 1),
            ('ratio', ratio, float('inf')),
        ):
            if not 0 < low <= high <= top:
                raise InputError(
                    f'{name}={(low, high)}: 0 < low <= high <= {top} expected'
                )
        self.size = size
        self.num_views = num_views
        self.scale = list(scale)
        self.ratio = list(ratio)
        self.scaled_decoding = scaled_decoding
        self.background = tuple(background)
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Read, decode, crop and resize.

        Args:
            results (dict): With ``img_path``.

        Returns:
            dict: With ``img``, the list of crops.
        """
        content = fileio.get(results['img_path'], backend_args=self.backend_args)
        image: Image.Image = Image.open(io.BytesIO(content))
        plain = is_plain_jpeg(image)
        if not plain:
            image = to_rgb(image, self.background)
            pixels = np.array(image)
        width, height = image.size
        boxes = [
            RandomResizedCrop.get_params(image, self.scale, self.ratio)
            for _ in range(self.num_views)
        ]
        divisor = 1
        if plain:
            divisor = self._divisor(boxes)
            pixels = decode_jpeg(content, image, divisor)
        cut = self._cut if divisor == 1 else self._cut_between_pixels
        results['img'] = [
            cut(pixels, *(side / divisor for side in box)) for box in boxes
        ]  # [3, size, size] each
        results['img_shape'] = (self.size, self.size)
        results['ori_shape'] = (height, width)
        return results

    def _divisor(self, boxes: Sequence[tuple[int, int, int, int]]) -> int:
        """Largest JPEG divisor at which every crop has at least ``size`` pixels."""
        smallest = min(min(height, width) for _, _, height, width in boxes)
        return max(
            (
                d
                for d in (2, 4, 8)
                if self.scaled_decoding and smallest >= d * self.size
            ),
            default=1,
        )

    def _cut(
        self, pixels: np.ndarray, top: float, left: float, height: float, width: float
    ) -> torch.Tensor:
        """Cut and resize a box of whole pixels."""
        top, left, height, width = map(int, (top, left, height, width))
        crop = torch.from_numpy(pixels[top : top + height, left : left + width])
        crop = F.resize(crop.permute(2, 0, 1), [self.size, self.size], antialias=True)
        return crop.contiguous()  # a copy if no resizing was needed

    def _cut_between_pixels(
        self, pixels: np.ndarray, top: float, left: float, height: float, width: float
    ) -> torch.Tensor:
        """Cut and resize any box with PIL, which is slower than torch."""
        crop = Image.fromarray(pixels).resize(
            (self.size, self.size),
            Image.Resampling.BILINEAR,
            box=(left, top, left + width, top + height),
        )
        return F.pil_to_tensor(crop)

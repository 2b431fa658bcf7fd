"""Loading of an image with random crops, at a reduced size where possible."""

import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmpretrain.registry import TRANSFORMS
from PIL import ExifTags, Image
from torch.nn.functional import interpolate

from mmdisco.errors import InputError
from ..decode import WHITE, to_rgb

IN_RGB = hasattr(cv2, 'IMREAD_COLOR_RGB')  # from OpenCV 4.11; BGR before
COLOR = cv2.IMREAD_COLOR_RGB if IN_RGB else cv2.IMREAD_COLOR
FLAGS = {
    1: COLOR,
    2: COLOR | cv2.IMREAD_REDUCED_GRAYSCALE_2,  # the size; COLOR is stronger
    4: COLOR | cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: COLOR | cv2.IMREAD_REDUCED_GRAYSCALE_8,
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
    if pixels is not None and IN_RGB:
        return pixels
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


class Picture:
    """An image file, decoded when the size that its crops need is known.

    Args:
        content (bytes): Content of the file.
        background (Sequence[int]): RGB colour under transparent pixels.
            Defaults to white.

    Attributes:
        size (tuple[int, int]): Height and width in pixels, upright.
        scalable (bool): Whether it can be decoded at a reduced size.

    Raises:
        OSError: If the file is not an image. Other exceptions of
            :func:`~mmdisco.datasets.decode.to_rgb`.
    """

    def __init__(self, content: bytes, background: Sequence[int] = WHITE) -> None:
        image: Image.Image = Image.open(io.BytesIO(content))
        self.scalable = is_plain_jpeg(image)
        self._content, self._header = content, image
        self._pixels: dict[int, np.ndarray] = {}  # by divisor
        if not self.scalable:
            image = to_rgb(image, background)
            self._pixels[1] = np.array(image)
        width, height = image.size
        self.size = height, width

    def pixels(self, divisor: int = 1) -> np.ndarray:
        """Decode once for each divisor.

        Args:
            divisor (int): Divisor of the size: 1, 2, 4 or 8; 1 unless
                ``scalable``. Defaults to 1.

        Returns:
            np.ndarray: RGB, uint8 [H / divisor, W / divisor, 3], rounded up.

        Raises:
            OSError: If the file is truncated or broken.
        """
        if divisor not in self._pixels:
            header = self._header
            if self._pixels:  # PIL may have loaded it at another size
                header = Image.open(io.BytesIO(self._content))
            self._pixels[divisor] = decode_jpeg(self._content, header, divisor)
        return self._pixels[divisor]


class Box(NamedTuple):
    """A crop in pixels of the whole image."""

    top: int
    left: int
    height: int
    width: int


def draw_box(
    size: tuple[int, int],
    scale: Sequence[float] = (0.2, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
    generator: torch.Generator | None = None,
) -> Box:
    """Draw a crop of random area and aspect ratio.

    The Inception crop of https://arxiv.org/abs/1409.4842, with torchvision's
    distribution: area uniform, aspect ratio uniform in its logarithm, drawn
    again up to nine times if it does not fit; then the largest central crop.

    Args:
        size (tuple[int, int]): Height and width of the image in pixels.
        scale (Sequence[float]): Range of the area, as a fraction of the
            image's. Defaults to (.2, 1.).
        ratio (Sequence[float]): Range of width / height. Defaults to
            (3 / 4, 4 / 3).
        generator (torch.Generator, optional): Defaults to None: torch's
            default generator.

    Returns:
        Box: The crop, inside the image.
    """
    height, width = size
    low, high = map(math.log, ratio)
    for _ in range(10):
        area, aspect, down, across = torch.rand(4, generator=generator).tolist()
        area = (scale[0] + (scale[1] - scale[0]) * area) * height * width
        aspect = math.exp(low + (high - low) * aspect)
        h, w = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < h <= height and 0 < w <= width:
            top, left = int(down * (height - h + 1)), int(across * (width - w + 1))
            return Box(top, left, h, w)
    aspect = min(max(width / height, ratio[0]), ratio[1])
    h, w = min(height, round(width / aspect)), min(width, round(height * aspect))
    return Box((height - h) // 2, (width - w) // 2, h, w)


FILTERS = dict(bilinear=Image.Resampling.BILINEAR, bicubic=Image.Resampling.BICUBIC)


@TRANSFORMS.register_module()
class LoadCrops(BaseTransform):
    """Decode an image once and cut the random crops of all views.

    A JPEG file is decoded at 1/2, 1/4 or 1/8 of its size if no crop needs
    more: the crops are drawn first, from the size in the file's header.

    Drawing and cutting are separate: :meth:`draw` gives the crop of a view,
    from any generator, and :meth:`cut` its pixels.

    **Required keys:** img_path. **Added keys:** img, a list of RGB crops,
    uint8 tensors [3, size, size]; img_shape, of the first; ori_shape.

    Args:
        size (int or Sequence[int]): Side of a crop after resizing, of all
            views or of each. Defaults to 224.
        num_views (int): Number of crops. Defaults to 2.
        scale (tuple[float, float] or Sequence[tuple[float, float]]): Range of
            a crop's area, as a fraction of the image's; of all views or of
            each. Defaults to (.2, 1.).
        ratio (tuple[float, float]): Range of width / height of a crop.
            Defaults to (3 / 4, 4 / 3).
        scaled_decoding (bool): Whether to decode at a reduced size where
            possible. Defaults to True.
        background (tuple[int, int, int]): RGB colour under transparent
            pixels. Defaults to white.
        backend_args (dict, optional): Arguments of mmengine's file backend.
            Defaults to None.
        interpolation (str or Sequence[str]): 'bilinear' or 'bicubic', both
            antialiased; of all views or of each. Defaults to 'bilinear'.
        channels_last (bool): Whether the three values of a pixel are
            neighbours in memory, as :class:`PhotometricViews` needs them; if
            not, crops are contiguous. Defaults to False.

    Raises:
        InputError: If a number is out of range, or there are not as many
            sizes, scales or interpolations as views. When called, the
            exceptions of :class:`Picture` if the file can't be read
            completely.
    """

    def __init__(
        self,
        size: int | Sequence[int] = 224,
        num_views: int = 2,
        scale: Sequence[float] | Sequence[Sequence[float]] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        scaled_decoding: bool = True,
        background: tuple[int, int, int] = WHITE,
        backend_args: dict | None = None,
        interpolation: str | Sequence[str] = 'bilinear',
        channels_last: bool = False,
    ) -> None:
        if num_views < 1:
            raise InputError(f'num_views={num_views}: a positive number expected')
        self.num_views = num_views
        self.size = self._of_each('size', size, isinstance(size, int))
        self.scale = self._of_each('scale', scale, isinstance(scale[0], (int, float)))
        self.interpolation = self._of_each(
            'interpolation', interpolation, isinstance(interpolation, str)
        )
        if min(self.size) < 1:
            raise InputError(f'size={size}: positive numbers expected')
        ranges = [('scale', tuple(pair), 1) for pair in self.scale]
        for name, (low, high), top in (*ranges, ('ratio', ratio, float('inf'))):
            if not 0 < low <= high <= top:
                raise InputError(
                    f'{name}={(low, high)}: 0 < low <= high <= {top} expected'
                )
        for name in self.interpolation:
            if name not in FILTERS:
                raise InputError(
                    f'interpolation={name!r}: one of {", ".join(FILTERS)} expected'
                )
        self.ratio = list(ratio)
        self.scaled_decoding = scaled_decoding
        self.background = tuple(background)
        self.backend_args = backend_args
        self.channels_last = channels_last

    def _of_each(self, name: str, value: Any, is_one: bool) -> list:
        """An argument of each view."""
        if is_one:
            return [value] * self.num_views
        if len(value) != self.num_views:
            raise InputError(
                f'{name}: {len(value)} values for num_views={self.num_views}: set '
                'one for all views or one for each'
            )
        return list(value)

    def transform(self, results: dict) -> dict:
        """Read, decode, crop and resize.

        Args:
            results (dict): With ``img_path``.

        Returns:
            dict: With ``img``, the list of crops.
        """
        content = fileio.get(results['img_path'], backend_args=self.backend_args)
        picture = Picture(content, self.background)
        views = range(self.num_views)
        boxes = [self.draw(picture.size, view) for view in views]
        crops = self.cut(picture, boxes, views)
        if not self.channels_last:
            crops = [to_planes(to_pixels(crop)) for crop in crops]
        results['img'] = crops
        results['img_shape'] = (self.size[0], self.size[0])
        results['ori_shape'] = picture.size
        return results

    def draw(
        self,
        size: tuple[int, int],
        view: int,
        generator: torch.Generator | None = None,
    ) -> Box:
        """Draw the crop of a view.

        Args:
            size (tuple[int, int]): Height and width of the image in pixels.
            view (int): Index of the view.
            generator (torch.Generator, optional): Defaults to None: torch's
                default generator.

        Returns:
            Box: The crop in pixels.
        """
        return draw_box(size, self.scale[view], self.ratio, generator)

    def cut(
        self, picture: Picture, boxes: Sequence[Box], views: Sequence[int]
    ) -> list[torch.Tensor]:
        """Cut and resize crops of an image, from one decoding.

        The decoded size is that of the most demanding crop: crops that are cut
        together may differ by rounding from those cut one by one.

        Args:
            picture (Picture): The image.
            boxes (Sequence[Box]): Crops in pixels of the whole image.
            views (Sequence[int]): Index of each crop's view.

        Returns:
            list[torch.Tensor]: RGB crops, uint8 [3, size, size] each,
            channels-last in memory.
        """
        divisor = 1
        if self.scaled_decoding and picture.scalable:
            most = min(
                min(box.height, box.width) / self.size[view]
                for box, view in zip(boxes, views)
            )
            divisor = max((d for d in (2, 4, 8) if d <= most), default=1)
        pixels = picture.pixels(divisor)
        cut = _cut if divisor == 1 else _cut_between_pixels
        return [
            cut(pixels, box, divisor, self.size[view], self.interpolation[view])
            for box, view in zip(boxes, views)
        ]


def to_pixels(crop: torch.Tensor) -> np.ndarray:
    """An array [H, W, 3] of a tensor [3, H, W], a view if that is channels-last."""
    return np.ascontiguousarray(crop.permute(1, 2, 0).numpy())


def to_planes(image: np.ndarray) -> torch.Tensor:
    """A contiguous tensor [3, H, W] of an array [H, W, 3]."""
    planes = np.empty((3, *image.shape[:2]), image.dtype)
    cv2.split(image, [*planes])  # in a fifth of the time of a transposed copy
    return torch.from_numpy(planes)


def _cut(
    pixels: np.ndarray, box: Box, divisor: int, size: int, interpolation: str
) -> torch.Tensor:
    """Cut and resize a box of an image that is decoded at its full size."""
    top, left, height, width = box
    crop = torch.from_numpy(pixels[top : top + height, left : left + width])
    # [1, 3, h, w], and channels-last by its strides, for which torch is fastest
    crop = crop[None].permute(0, 3, 1, 2)
    if (height, width) == (size, size):
        return crop[0]
    return interpolate(crop, [size, size], mode=interpolation, antialias=True)[0]


def _cut_between_pixels(
    pixels: np.ndarray, box: Box, divisor: int, size: int, interpolation: str
) -> torch.Tensor:
    """Cut and resize any box with PIL, which is slower than torch."""
    top, left, height, width = (side / divisor for side in box)
    crop = Image.fromarray(pixels).resize(
        (size, size),
        FILTERS[interpolation],
        box=(left, top, left + width, top + height),
    )
    return torch.from_numpy(np.array(crop)).permute(2, 0, 1)

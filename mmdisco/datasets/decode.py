"""Conversion of any kind of image to upright 8-bit RGB."""

import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from mmengine import fileio
from PIL import Image, ImageCms, ImageOps

WHITE = (255, 255, 255)
# Version of the decoding of unusual images; cached features of another version
# are extracted again.
VERSION = 2
TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_SAMPLE_FORMAT = 258, 262, 339
UNSIGNED = 1  # a sample format
WHITE_IS_ZERO = 0  # a photometric interpretation
LEAST = 1 / 16  # of the range: the brightest value must reach it


def to_rgb(image: Image.Image, background: Sequence[int] = WHITE) -> Image.Image:
    """Convert an image of any kind to upright 8-bit RGB.

    Training, fast views, evaluation and detectors all read images through
    this function, so they see the same pixels:

    - the first frame is used, in its EXIF or XMP orientation;
    - transparent pixels get the colour ``background``: transparency by an
      alpha channel, a palette with transparent colours, or a PNG's or GIF's
      single transparent colour;
    - 16-bit grey values keep their upper byte, as 16-bit colours do in Pillow
      and OpenCV: 65535 is white; in a 12-bit TIFF 4095 is white;
    - 32-bit integers keep their upper byte: white is the largest number of
      the type, also for signed 16-bit integers;
    - floats are black at 0 and white at 1;
    - CMYK, YCbCr, HSV, palettes and 1-bit images are converted by Pillow, LAB
      by LittleCMS. ICC profiles are not applied.

    Args:
        image (Image.Image): As opened; not changed.
        background (tuple[int, ...]): RGB colour under transparent pixels.
            Defaults to white.

    Returns:
        Image.Image: A new image of mode RGB.

    Raises:
        ValueError: If values are negative, not finite, floats above 1, or so
            small that the image would be black. Pillow's exceptions if the
            file can't be read, e.g. if it is truncated.
    """
    key = _transparent_colour(image)
    upright: Any = ImageOps.exif_transpose(image)  # a copy without TIFF's tags
    if key is not None:
        upright.info['transparency'] = key
    if upright.mode[0] in 'IF':
        upright = _eight_bits(upright, image)
    if upright.mode == 'La':
        upright = upright.convert('LA')
    if _is_transparent(upright):
        colours = upright.convert('RGBA')
        upright = Image.new('RGB', colours.size, tuple(background))
        upright.paste(colours, mask=colours.getchannel('A'))
    elif upright.mode == 'LAB':
        upright = ImageCms.profileToProfile(
            upright,
            ImageCms.createProfile('LAB'),
            ImageCms.createProfile('sRGB'),
            outputMode='RGB',
        )
    return upright if upright.mode == 'RGB' else upright.convert('RGB')


def reason_of(error: Exception, name: str) -> str:
    """Describe in one line why an image can't be read, without its name.

    Args:
        error (Exception): Exception of a decoder. For bytes in memory Pillow
            names the object instead of the file.
        name (str): The image, quoted; removed from the text.
    """
    text = re.sub(r'<_io\.BytesIO object at 0x[0-9a-f]+>', '', str(error))
    return ' '.join(text.replace(name, '').split()) or type(error).__name__


def is_readable(path: str) -> bool:
    """Whether a file, of any of mmengine's backends, is decoded by :func:`to_rgb`."""
    try:
        with Image.open(BytesIO(fileio.get(path))) as image:
            to_rgb(image)
    except Exception:  # decoders raise their own exceptions
        return False
    return True


def _transparent_colour(image: Image.Image) -> int | tuple | bytes | None:
    """Transparent colour of a PNG, at the bit depth of the loaded pixels.

    Pillow scales the pixels, but not this colour. The file's bit depth is only
    available before loading.
    """
    key = image.info.get('transparency')
    tile = getattr(image, 'tile', None)
    stored = tile[0][3] if tile else ''
    if key is not None and stored in ('L;2', 'L;4'):
        return key * 255 // (2 ** int(stored[2:]) - 1)
    if key is not None and stored == 'RGB;16B':
        return tuple(channel >> 8 for channel in key)
    return key


def _is_transparent(image: Image.Image) -> bool:
    palette = image.palette if image.mode == 'P' else None
    if palette is not None and palette.mode.endswith('A'):
        return True
    return (
        image.mode in ('LA', 'La', 'PA', 'RGBA', 'RGBa') or 'transparency' in image.info
    )


def _eight_bits(upright: Image.Image, opened: Image.Image) -> Image.Image:
    """Scale grey values of more bits by the range of their type."""
    tags = getattr(opened, 'tag_v2', {})  # TIFF only
    bits = tags.get(TIFF_BITS, (None,))[0]
    values = np.asarray(upright)  # [H, W]
    if upright.mode.startswith('I;16'):
        depth = 12 if bits == 12 else 16
    elif upright.mode == 'I' and opened.format in ('PNG', 'PPM'):
        depth = 16
    elif (
        upright.mode == 'I'
        and bits == 32
        and (tags.get(TIFF_SAMPLE_FORMAT, (UNSIGNED,))[0] == UNSIGNED)
    ):
        depth, values = 32, values.view(np.uint32)
    elif upright.mode == 'I':  # signed
        depth = 15 if bits == 16 else 31
    else:
        depth = None  # floats
    _check_range(values, 1 if depth is None else 2**depth - 1)
    if depth is None:
        grey = np.rint(values * 255).astype(np.uint8)
    else:
        grey = (values >> depth - 8).astype(np.uint8)
    if tags.get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO:  # Pillow inverts up to 8 bits
        grey = 255 - grey
    key = upright.info.get('transparency')
    if key is None:
        return Image.fromarray(grey)
    alpha = np.where(values == key, 0, 255).astype(np.uint8)
    return Image.merge('LA', [*map(Image.fromarray, (grey, alpha))])


def _check_range(values: np.ndarray, top: int) -> None:
    low, high = values.min(), values.max()  # NaN if any value is NaN
    values_are = f'its values are from {low:g} to {high:g}'
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f'{values_are}, not all of them are numbers')
    if low < 0 or high > top:
        raise ValueError(f'{values_are}, should be from 0 to {top}')
    if 0 < high <= top * LEAST:
        raise ValueError(
            f'{values_are}, where white is {top}: it would be black; '
            'scale it, or save it in 8 bits'
        )

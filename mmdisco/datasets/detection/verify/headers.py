import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from mmdisco.datasets.decode import reason_of
from mmdisco.utils import available_cores
from .report import Report

SAMPLE = 200  # images of a split whose headers are read, unless all are opened
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height

Size = tuple[float | None, float | None]


def check_images(
    report: Report,
    split: str,
    files: Sequence[Path],
    sizes: Sequence[Size],
    whole: bool,
) -> None:
    """Check that images can be read, and are of the size they should be.

    mmcv reads them by OpenCV, which turns them as their EXIF says; boxes have
    to be those of the turned image.

    Args:
        report (Report): Takes what is found.
        split (str): Name, for the bar.
        files (Sequence[Path]): The images.
        sizes (Sequence[tuple]): Width and height of each in its annotation;
            None is not compared.
        whole (bool): Decode each image; else read the headers of a few,
            spread over the split.
    """
    pairs = list(zip(files, sizes))
    if not whole and len(pairs) > SAMPLE:
        pairs = [pairs[i * len(pairs) // SAMPLE] for i in range(SAMPLE)]
    read = partial(_fault, whole=whole)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of Pillow, of odd metadata
        with ThreadPoolExecutor(2 * available_cores()) as pool:
            found = pool.map(read, *zip(*pairs)) if pairs else []
            faults: list[str] = [
                line
                for line, _ in zip(found, with_bar(pairs, f'{split}: images'))
                if line
            ]
    report.faults += faults


def _fault(path: Path, size: Size, whole: bool) -> str | None:
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION, 1)
            found = image.size
            if whole:
                image.load()
        if not cv2.haveImageReader(str(path)):
            return (
                f"'{path}' is a {image.format}, which mmcv's OpenCV can't "
                'read: save it as JPEG or PNG'
            )
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        pixels = cv2.imread(str(path))  # it may know what Pillow doesn't
        if pixels is None:
            return _unreadable(path, error)
        turned, found = 1, pixels.shape[1::-1]
    except (OSError, SyntaxError, ValueError) as error:
        return _unreadable(path, error)
    if turned in _SIDEWAYS:
        found = found[::-1]
    if None not in size and tuple(size) != tuple(found):
        width, height = size
        exif = (
            ', turned as its EXIF says, as mmcv does' if (turned in _SIDEWAYS) else ''
        )
        return (
            f"'{path}' is of {found[0]}x{found[1]} pixels{exif}, its "
            f'annotation of {width:g}x{height:g}'
        )
    return None


def size_of(path: Path) -> Size:
    """Width and height as mmcv reads an image, None if it can't."""
    pixels = cv2.imread(str(path))
    return (None, None) if pixels is None else pixels.shape[1::-1]


def _unreadable(path: Path, error: Exception) -> str:
    name = f"'{path}'"
    return f'{name} is not a readable image: {reason_of(error, name)}'


def with_bar(items: Sequence, told: str) -> Iterable:
    """The items; on a terminal a bar tells how many have been taken."""
    err = Console(stderr=True)
    return track(items, told, console=err, transient=True, disable=not err.is_terminal)


def names_in(folder: Path) -> set[str] | None:
    """Names of the files in a folder, None if there is no such folder.

    One call for all of them: to ask for each takes minutes on a network
    drive.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return None

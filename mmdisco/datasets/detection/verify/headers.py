"""Check that images can be read and have the annotated size."""

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

SAMPLE = 200  # images per split in a check of headers
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height

Size = tuple[float | None, float | None]


def check_images(
    report: Report,
    split: str,
    files: Sequence[Path],
    sizes: Sequence[Size],
    whole: bool,
) -> None:
    """Check that images can be read and have their annotated size.

    mmcv reads images with OpenCV, which applies the EXIF orientation; boxes
    must match the rotated image.

    Args:
        report (Report): Receives the faults.
        split (str): Name in the progress bar.
        files (Sequence[Path]): The images.
        sizes (Sequence[tuple]): Annotated width and height of each image;
            None is not compared.
        whole (bool): Decode each image; otherwise read the headers of a
            sample, spread over the split.
    """
    pairs = list(zip(files, sizes))
    if not whole and len(pairs) > SAMPLE:
        pairs = [pairs[i * len(pairs) // SAMPLE] for i in range(SAMPLE)]
    read = partial(_fault, whole=whole)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Pillow's, about unusual metadata
        with ThreadPoolExecutor(2 * available_cores()) as pool:
            lines = pool.map(read, *zip(*pairs)) if pairs else []
            faults: list[str] = [
                line
                for line, _ in zip(lines, with_bar(pairs, f'{split}: images'))
                if line
            ]
    report.faults += faults


def _fault(path: Path, size: Size, whole: bool) -> str | None:
    try:
        with Image.open(path) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            actual = image.size
            if whole:
                image.load()
        if not cv2.haveImageReader(str(path)):
            return (
                f"'{path}' is a {image.format}, which mmcv's OpenCV can't "
                'read: save it as JPEG or PNG'
            )
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        pixels = cv2.imread(str(path))  # OpenCV may read what Pillow can't
        if pixels is None:
            return _unreadable(path, error)
        orientation, actual = 1, pixels.shape[1::-1]
    except (OSError, SyntaxError, ValueError) as error:
        return _unreadable(path, error)
    if orientation in _SIDEWAYS:
        actual = actual[::-1]
    if None not in size and tuple(size) != tuple(actual):
        width, height = size
        exif = (
            ' in the orientation of its EXIF, which mmcv applies'
            if orientation in _SIDEWAYS
            else ''
        )
        return (
            f"'{path}' has {actual[0]}x{actual[1]} pixels{exif}, but "
            f'{width:g}x{height:g} in its annotation'
        )
    return None


def size_of(path: Path) -> Size:
    """Width and height of an image as read by mmcv; None if it can't."""
    pixels = cv2.imread(str(path))
    return (None, None) if pixels is None else pixels.shape[1::-1]


def _unreadable(path: Path, error: Exception) -> str:
    name = f"'{path}'"
    return f'{name} is not a readable image: {reason_of(error, name)}'


def with_bar(items: Sequence, label: str) -> Iterable:
    """Iterate over items, with a progress bar on a terminal."""
    err = Console(stderr=True)
    return track(items, label, console=err, transient=True, disable=not err.is_terminal)


def names_in(folder: Path) -> set[str] | None:
    """Names of the files in a folder; None if the folder does not exist.

    One call for all files: a call per file takes minutes on a network drive.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return None

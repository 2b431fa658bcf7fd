"""Cached features: memory-mapped files with a header of their origin."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmdisco.errors import InputError, MissingFileError

# Keys of the header that must agree, with the message if they do not.
_DIFFERENT = dict(
    weights='another checkpoint',
    data='other images',
    views='another number of views',
    seed='other random views',
    transform='another transform',
    normalisation='another normalisation',
    dtype='another precision',
)


class Features(NamedTuple):
    """Cached features of one split."""

    views: Tensor  # [V, N, D], memory-mapped; a single view is the central crop
    labels: Tensor  # [N], or empty without labels
    classes: list[str]
    header: dict

    @property
    def plain(self) -> Tensor:
        """Features of the first view, [N, D]."""
        return self.views[0]


def matching(folder: Path, wanted: dict) -> bool:
    """Whether a folder holds the requested features.

    Args:
        folder (Path): Folder of one split.
        wanted (dict): Header of the requested features.

    Returns:
        bool: False if there is no such folder.

    Raises:
        InputError: If it holds anything else.
    """
    path = folder / 'header.json'
    if not path.is_file():
        if folder.exists():
            raise InputError(
                f"'{folder}' exists but has no features: set another --features"
            )
        return False
    header = read_header(folder)
    for key, difference in _DIFFERENT.items():
        if header.get(key) != wanted[key]:
            raise InputError(
                f"'{folder}' has features of {difference} "
                f'({_brief(header.get(key))}, expected {_brief(wanted[key])}): '
                'remove it, or set another --features'
            )
    return True


def read_header(folder: Path) -> dict:
    """Read the header of cached features.

    Args:
        folder (Path): Folder of one split.

    Raises:
        MissingFileError: If there is none.
        InputError: If it is not JSON.
    """
    path = folder / 'header.json'
    if not path.is_file():
        raise MissingFileError(f"'{folder}' has no features: header.json is missing")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"'{path}' is damaged: remove the folder") from error


def read_features(folder: Path) -> Features:
    """Open cached features; the mapped files are read on access.

    Args:
        folder (Path): Folder of one split.

    Raises:
        MissingFileError: If a file is missing.
        InputError: If one is damaged.
    """
    header = read_header(folder)
    try:
        # copy-on-write: torch requires writable arrays
        views = np.load(folder / 'features.npy', mmap_mode='c')
        labels = (
            torch.from_numpy(np.load(folder / 'labels.npy'))
            if header['classes']
            else torch.zeros(0, dtype=torch.long)
        )
    except FileNotFoundError as error:
        raise MissingFileError(
            f"'{error.filename}' is missing: remove '{folder}'"
        ) from error
    except (ValueError, OSError) as error:
        raise InputError(f"'{folder}' is damaged ({error}): remove it") from error
    return Features(torch.from_numpy(views), labels, header['classes'], header)


def _brief(value) -> str:
    return value[:12] if isinstance(value, str) else str(value)

"""Features on disk: memory-mapped, with a header that tells what they are."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmdisco.errors import InputError, MissingFileError

# What must agree for features to be those that are wanted, in words.
_SAID = dict(
    weights='another checkpoint',
    data='other images',
    views='another number of views',
    seed='other random views',
    transform='another transform',
    normalisation='another normalisation',
    dtype='another precision',
)


class Features(NamedTuple):
    """Of one split."""

    views: Tensor  # [V, N, D], memory-mapped; one view is the middle
    labels: Tensor | None  # [N]
    classes: list[str]
    header: dict

    @property
    def plain(self) -> Tensor:
        """Of the first view, [N, D]."""
        return self.views[0]


def matching(folder: Path, wanted: dict) -> bool:
    """Whether a folder holds the features that are wanted.

    Args:
        folder (Path): Of :func:`mmdisco.evaluation.extract_split`.
        wanted (dict): Header.

    Returns:
        bool: False if there are none.

    Raises:
        InputError: If it holds others.
    """
    path = folder / 'header.json'
    if not path.is_file():
        if folder.exists():
            raise InputError(
                f"'{folder}' exists and holds no features: give another --features"
            )
        return False
    held = read_header(folder)
    for key, said in _SAID.items():
        if held.get(key) != wanted[key]:
            raise InputError(
                f"'{folder}' holds features of {said} "
                f'({_brief(held.get(key))}, wanted {_brief(wanted[key])}): '
                'remove it, or give another --features'
            )
    return True


def read_header(folder: Path) -> dict:
    """What a folder says of its features.

    Raises:
        MissingFileError: If there is none.
        InputError: If it is no JSON.
    """
    path = folder / 'header.json'
    if not path.is_file():
        raise MissingFileError(f"'{folder}' holds no features: no header.json")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"'{path}' is damaged: remove the folder") from error


def read_features(folder: Path) -> Features:
    """Open features that are there; they are read when they are needed.

    Args:
        folder (Path): Of one split.

    Raises:
        MissingFileError: If a file is missing.
        InputError: If one is damaged.
    """
    header = read_header(folder)
    try:
        # copy-on-write: torch wants arrays that can be written to
        views = np.load(folder / 'features.npy', mmap_mode='c')
        labels = (
            torch.from_numpy(np.load(folder / 'labels.npy'))
            if header['classes']
            else None
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

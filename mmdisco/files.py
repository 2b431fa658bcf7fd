import os
from pathlib import Path
from typing import Mapping, Union

import torch

from mmdisco.errors import InputError


def save_whole(content: Mapping, path: Union[str, Path]) -> None:
    """Save a checkpoint under its name only when all of it is written.

    Raises:
        InputError: If the path is a folder, or can't be written.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder: name the file to write")
    half = path.with_name(path.name + '.half')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, half)
        os.replace(half, path)
    except (OSError, RuntimeError) as error:  # torch.save's if a disk is full
        half.unlink(missing_ok=True)
        raise InputError(f"'{path}' can't be written: {error}") from error

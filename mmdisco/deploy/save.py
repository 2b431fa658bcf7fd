"""Files that are there only as a whole, and the same whenever written."""
import io
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Mapping, Union

import torch
from torch import Tensor

from mmdisco import __version__
from mmdisco.converters import sha256_of
from mmdisco.errors import InputError


def origin(path: str) -> dict:
    """What a file that is made of a checkpoint says of that checkpoint."""
    return dict(source=Path(path).name, sha256=sha256_of(path),
                mmdisco_version=__version__)


@contextmanager
def written_whole(path: Union[str, Path]) -> Iterator[Path]:
    """Give a name to write to; it becomes ``path`` if nothing goes wrong.

    Args:
        path (str or Path): The file; its folder is made.

    Raises:
        InputError: If it is a folder, or can't be written.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder: name the file to write")
    half = path.with_name(f'half.{path.name}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield half
            os.replace(half, path)
        finally:
            half.unlink(missing_ok=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"'{path}' can't be written: {error}") from error


def reproducible_bytes(state_dict: Mapping[str, Tensor], **content) -> bytes:
    """A checkpoint as bytes that depend on nothing but its content.

    ``torch.save`` writes the name of a file into it, and of a view the whole
    tensor that it is a part of.

    Args:
        state_dict (dict): Tensors by key; written alone if nothing else is.
        content: Beside them, plain values.
    """
    own = {key: value.detach().clone().contiguous()
           for key, value in state_dict.items()}
    buffer = io.BytesIO()
    torch.save(dict(state_dict=own, **content) if content else own, buffer)
    return buffer.getvalue()


def save_weights(path: Union[str, Path], state_dict: Mapping[str, Tensor],
                 **content) -> None:
    """Write a checkpoint of :func:`reproducible_bytes`.

    Raises:
        InputError: If ``path`` is a folder, or can't be written.
    """
    with written_whole(path) as half:
        half.write_bytes(reproducible_bytes(state_dict, **content))

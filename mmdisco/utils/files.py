"""Writing of files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mmdisco.errors import InputError


@contextmanager
def atomic_write(
    path: str | Path, shared: bool = False, durable: bool = False
) -> Iterator[Path]:
    """Write a file completely or not at all.

    The temporary file replaces ``path`` if the block ends without an
    exception, and is removed otherwise.

    Args:
        path (str or Path): The file; its folder is created.
        shared (bool): Whether several processes may write it at once. Defaults
            to False: what a killed process leaves is overwritten next time.
        durable (bool): Whether the file also outlives a power failure: it is on the
            disk before it gets its name. Defaults to False.

    Yields:
        Path: A hidden temporary file in the same folder, with the same ending.

    Raises:
        InputError: If ``path`` is a folder or can't be written.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder: name the file to write")
    unique = f'{uuid4().hex}.' if shared else ''
    half = path.with_name(f'.half.{unique}{path.name}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield half
            if durable:
                _sync(half)
            os.replace(half, path)
            if durable:
                _sync(path.parent)
        finally:
            half.unlink(missing_ok=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"'{path}' can't be written: {error}") from error


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Writing of files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mmdisco.errors import InputError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file completely or not at all.

    The temporary file replaces ``path`` if the block ends without an
    exception, and is removed otherwise.

    Args:
        path (str or Path): The file; its folder is created.

    Yields:
        Path: A temporary file in the same folder, to be written.

    Raises:
        InputError: If ``path`` is a folder or can't be written.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder: name the file to write")
    # ranks and nodes may write the same file at once
    half = path.with_name(f'half.{uuid4().hex[:8]}.{path.name}')
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

"""Encoded images in an LMDB."""

import os
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from mmdisco.datasets.archive_labels import by_class
from mmdisco.datasets.listing import Tally
from mmdisco.errors import InputError
from .source import Source, spread


@cache
def _environment(path: str):
    """The database, opened at most once per process, as LMDB requires."""
    import lmdb

    return lmdb.open(
        path, subdir=os.path.isdir(path), readonly=True, lock=False, readahead=False
    )


# a forked worker must not use its parent's
os.register_at_fork(after_in_child=_environment.cache_clear)


class LMDBSource(Source):
    """Encoded images in an LMDB, with their paths as keys.

    The convention of mmengine's ``LmdbBackend``.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'.
        path (str): The database, a folder or a file.
        names (list[str]): Keys of the images.
        labels (list[int]): Labels of the images.
        classes (list[str]): Names of the classes.
    """

    kind = 'lmdb'

    def __init__(
        self,
        root: str,
        split: str,
        path: str,
        names: list[str],
        labels: list[int],
        classes: list[str],
    ) -> None:
        super().__init__(root, split, names, labels, classes)
        self.path = path
        self.sizes = [len(self._encoded(i)) for i in spread(len(names))]

    def load(self, index: int) -> Image.Image:
        """Open one encoded image."""
        return Image.open(BytesIO(self._encoded(index)))

    def where(self, index: int) -> str:
        """Key and database of the image."""
        return f"'{self.names[index]}' of '{self.path}'"

    def _encoded(self, index: int) -> bytes:
        key = self.names[index].encode(errors='surrogateescape')
        with _environment(self.path).begin() as transaction:
            return transaction.get(key)


def open_lmdb(root: str, split: str, path: Path) -> LMDBSource:
    """Open an LMDB of encoded images with keys 'class/name.jpg'.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'.
        path (Path): The database, a folder with ``data.mdb`` or a file.

    Returns:
        LMDBSource: Images sorted by class and name; other keys are skipped.

    Raises:
        InputError: If the package ``lmdb`` is missing, the database is damaged
            or the key of an image has no class.
    """
    try:
        import lmdb
    except ImportError as error:
        raise InputError(
            f"'{path}' needs the package lmdb: pip install lmdb"
        ) from error
    path = path.resolve()
    try:
        environment = _environment(str(path))
        _check_length(environment, path)
        with environment.begin() as transaction:
            keys = [
                key.decode(errors='surrogateescape')
                for key in transaction.cursor().iternext(values=False)
            ]
        tally = Tally()
        names = [*filter(tally.takes, keys)]
        tally.log(str(path))
        labelled = by_class(names, str(path))
        return LMDBSource(root, split, str(path), *labelled)
    except lmdb.Error as error:
        raise InputError(
            f"'{path}' is not a readable LMDB ({error}): create it again"
        ) from error


def _check_length(environment, path: Path) -> None:
    """Reject a truncated file: reading beyond its end kills the process (SIGBUS)."""
    pages = environment.info()['last_pgno'] + 1
    needed = pages * environment.stat()['psize']
    file = path / 'data.mdb' if path.is_dir() else path
    size = file.stat().st_size
    if size < needed:
        raise InputError(
            f"'{path}' is truncated, {size} of {needed} bytes: copy it again"
        )

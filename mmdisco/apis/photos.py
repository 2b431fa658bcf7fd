"""Features of a folder of images, and feature files in three formats."""

import json
import logging
import os
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from PIL import Image

from mmdisco.datasets.decode import WHITE
from mmdisco.datasets.packed import ShardError
from mmdisco.errors import InputError
from mmdisco.evaluation.sources import Source, open_photos
from mmdisco.utils import atomic_write

MAX_NAMES = 10  # in a warning


class Extracted(NamedTuple):
    """Features of the photos of a folder."""

    names: list[str]  # paths below the folder, sorted
    features: np.ndarray  # [N, D], in the order of names
    skipped: list[str]  # names of images that can't be read, sorted


class SkippingPhotos(Source):
    """A folder of photos, or of packed ones, that may contain unreadable ones.

    An unreadable photo is replaced by a black image, so that batches do not
    depend on it; :meth:`extracted` leaves out its features.

    Args:
        root (str): The folder; photos at any depth.
        background (tuple[int, int, int]): RGB colour under transparent
            pixels. Defaults to white.

    Raises:
        MissingFileError: If the folder does not exist.
        InputError: If the folder has no image, or an image name can't be
            written to a text file.
    """

    kind = 'photos'

    def __init__(self, root: str, background: tuple[int, int, int] = WHITE) -> None:
        self.photos = open_photos(root)
        self.photos.background = self.background = (*background,)
        assert self.photos.tally is not None  # open_photos counts the files
        self.tally = self.photos.tally
        super().__init__(root, '', self.photos.names, None)
        self.sizes = self.photos.sizes
        for name in self.names:
            if len(name.splitlines()) > 1 or _no_utf8(name):
                raise InputError(
                    f'image {name!r} in {self.root!r} has a name '
                    'with a line break or not in UTF-8: rename it'
                )
        # shared with the loader's workers
        self.unreadable = torch.zeros(len(self), dtype=torch.uint8).share_memory_()

    def __getitem__(self, index: int) -> Image.Image:
        """Return an image, RGB and upright; black if it can't be read."""
        try:
            return self.photos[index]
        except ShardError:  # not a fault of the image
            raise
        except InputError:
            self.unreadable[index] = 1
            return Image.new('RGB', (1, 1))

    def read(self, index: int) -> bytes:
        """Content of an image's file."""
        return self.photos.read(index)

    def extracted(self, features: np.ndarray) -> Extracted:
        """Leave out unreadable images, with one warning.

        Args:
            features (np.ndarray): Features of all images, [N, D].

        Raises:
            InputError: If no image is readable.
        """
        readable = self.unreadable.numpy() == 0
        unsupported = self.tally.unread
        if readable.all():
            return Extracted([*self.names], features, sorted(unsupported))
        if not readable.any():
            raise InputError(
                f"none of the {len(self)} images in '{self.root}' can be read"
            )
        skipped = [self.names[i] for i in np.flatnonzero(~readable)]
        listed = ', '.join(f"'{name}'" for name in skipped[:MAX_NAMES])
        more = len(skipped) - MAX_NAMES
        print_log(
            f"Skip {len(skipped)} of {len(self)} images in '{self.root}' that "
            f"can't be read: {listed}{f' and {more} more' if more > 0 else ''}",
            logger='current',
            level=logging.WARNING,
        )
        names = [self.names[i] for i in np.flatnonzero(readable)]
        return Extracted(names, features[readable], sorted(skipped + unsupported))

    def counts(self) -> str:
        """Describe in words how many files there are and how many are skipped."""
        unreadable = int(self.unreadable.sum())
        reasons = [f"{unreadable} can't be read"] if unreadable else []
        reasons += filter(None, [self.tally.reasons()])
        skipped = unreadable + self.tally.left_out.total()
        return f'{self.tally.found} files, {skipped} skipped' + (
            f' ({", ".join(reasons)})' if reasons else ''
        )

    def share(self) -> None:
        """Combine the unreadable images of all ranks."""
        all_reduce(self.unreadable, 'max')


def _no_utf8(name: str) -> bool:
    """Whether a file name's bytes are not valid UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False


ROWS = 4096  # per row group


def _write_npz(path: Path, extracted: Extracted, header: str) -> None:
    np.savez(
        path,
        names=np.array(extracted.names),
        features=extracted.features,
        header=np.array(header),
    )


def _write_npy(path: Path, extracted: Extracted, header: str) -> None:
    np.save(path, extracted.features)


def _write_parquet(path: Path, extracted: Extracted, header: str) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    names, features = extracted.names, extracted.features
    dim = features.shape[1]
    value = pa.from_numpy_dtype(features.dtype)
    schema = pa.schema(
        [('name', pa.string()), ('feature', pa.list_(value, dim))], dict(header=header)
    )
    with ParquetWriter(path, schema) as writer:
        for start in range(0, len(names), ROWS):
            part = slice(start, start + ROWS)
            flat = pa.array(features[part].reshape(-1))
            writer.write_table(
                pa.Table.from_arrays(
                    [
                        pa.array(names[part], pa.string()),
                        pa.FixedSizeListArray.from_arrays(flat, dim),
                    ],
                    schema=schema,
                )
            )


FORMATS = {'.npz': _write_npz, '.npy': _write_npy, '.parquet': _write_parquet}


def check_out(out: Path) -> None:
    """Check before the extraction that features can be written.

    Args:
        out (Path): File to write; its folder is created.

    Raises:
        InputError: If the format is unknown, ``out`` is a folder, its folder
            can't be created, or a package is missing.
    """
    if out.suffix not in FORMATS:
        raise InputError(
            f"'{out}' has no known format: should end in {', '.join(FORMATS)}"
        )
    if out.suffix == '.parquet' and find_spec('pyarrow') is None:
        raise InputError(
            f"'{out}' needs the package pyarrow: pip install pyarrow, or write .npz"
        )
    if out.is_dir():
        raise InputError(f"'{out}' is a folder: name the file to write")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(out.parent, os.W_OK):
            raise PermissionError(f"no permission to write to '{out.parent}'")
    except OSError as error:
        raise InputError(f"'{out}' can't be written: {error}") from error


def write_features(out: Path, extracted: Extracted, header: dict) -> None:
    """Write features, all files or none.

    Also writes ``OUT.skipped.txt`` if images were skipped, and
    ``OUT.names.txt`` for .npy, one name per line.

    Args:
        out (Path): .npz with ``names``, ``features`` and ``header`` (JSON);
            .npy with the features; or .parquet with the columns ``name`` and
            ``feature``, lists of fixed size, and ``header`` in its metadata.
        extracted (Extracted): Names and features.
        header (dict): Provenance of the features, of JSON types.

    Raises:
        InputError: If a file can't be written.
    """
    lists = dict(skipped=extracted.skipped)
    if out.suffix == '.npy':
        lists['names'] = extracted.names
    with ExitStack() as files:  # all files are complete before one is renamed
        half = files.enter_context(atomic_write(out))
        FORMATS[out.suffix](half, extracted, json.dumps(header))
        for key, names in lists.items():
            path = out.with_name(f'{out.name}.{key}.txt')
            if names:
                half = files.enter_context(atomic_write(path))
                half.write_text(
                    ''.join(f'{name}\n' for name in names), encoding='utf-8'
                )
            else:  # from an earlier run
                path.unlink(missing_ok=True)

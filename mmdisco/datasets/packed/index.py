"""Index of a folder of packed images: which image is where."""

import io
import json
import logging
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log

from mmdisco.errors import InputError
from mmdisco.utils import atomic_write
from ..listing import Tally
from .remote import cache_bytes, fetch, is_url, join, keep_index
from .storage import Member, ShardError, forget_open_shards, pack_path, read_member

INDEX, MEMBERS = 'shards.json', 'shards.npz'
VERSION = 1


class Shard(NamedTuple):
    """A tar file of the folder."""

    name: str
    images: int
    bytes: int
    sha256: str


class PackedImages:
    """Images in tar shards, in the order of their names.

    The order is that of a folder of the same images, so that a training on
    packed images sees them in the order of a training on the folder.

    Args:
        root (str): Folder or address of the shards.
        shards (list[Shard]): The tar files.
        names (list[str]): Paths of the images before packing, sorted.
        shard (np.ndarray): Index of each image's shard, [N].
        start (np.ndarray): First byte of each image in its shard, [N].
        size (np.ndarray): Bytes of each image, [N].
        labels (np.ndarray, optional): Class indices, [N]; None without classes.
        classes (Sequence[str]): Names of the classes. Defaults to ().
        made (dict, optional): How the shards were made. Defaults to None.

    Attributes:
        files (list[str]): Paths or addresses of the shards.
    """

    def __init__(
        self,
        root: str,
        shards: list[Shard],
        names: list[str],
        shard: np.ndarray,
        start: np.ndarray,
        size: np.ndarray,
        labels: np.ndarray | None,
        classes: Sequence[str] = (),
        made: dict | None = None,
    ) -> None:
        self.root = root
        self.shards = shards
        self.names = names
        self.shard = shard
        self.start = start
        self.size = size
        self.labels = labels
        self.classes = list(classes)
        self.made = made or {}
        self.files = [join(root, shard.name) for shard in shards]

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        """Describe it, for a log."""
        number = len(self.shards)
        return (
            f"images in '{self.root}': {len(self)} packed in {number} "
            f'shard{"" if number == 1 else "s"}'
        )

    def member(self, index: int) -> Member:
        """Position of an image."""
        shard = self.files[self.shard[index]]
        return Member(shard, int(self.start[index]), int(self.size[index]))

    def path(self, index: int) -> str:
        """Path by which mmengine's file backends read an image."""
        return pack_path(self.member(index), self.names[index])

    def class_order(self) -> np.ndarray:
        """Indices of the images sorted by class and name, as in class folders, [N].

        Raises:
            InputError: If the images have no classes.
        """
        if self.labels is None:
            raise InputError(
                f"'{self.root}' holds packed images without classes: pack class folders"
            )
        return np.argsort(self.labels, kind='stable')

    def tally(self) -> Tally:
        """Counts of the images, as of the files of a folder."""
        tally = Tally()
        tally.taken = len(self)
        return tally

    def read(self, index: int) -> bytes:
        """Content of an image's file.

        Raises:
            ShardError: If its shard can't be read.
        """
        return read_member(self.member(index))

    def write(self) -> None:
        """Write the index next to the shards; :data:`INDEX` is the last file."""
        arrays = dict(
            names=np.frombuffer('\0'.join(self.names).encode(*_NAMES), np.uint8),
            shard=self.shard.astype(np.int32),
            start=self.start.astype(np.int64),
            size=self.size.astype(np.int64),
        )
        if self.labels is not None:
            arrays['labels'] = self.labels.astype(np.int32)
        with atomic_write(Path(self.root, MEMBERS)) as half:
            with open(half, 'wb') as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        about = {
            '__kind__': 'wids-shard-index-v1',  # other programs read the list
            'wids_version': 1,
            'shardlist': [
                dict(url=s.name, nsamples=s.images, filesize=s.bytes, sha256=s.sha256)
                for s in self.shards
            ],
            'version': VERSION,
            'images': len(self),
            'classes': self.classes if self.labels is not None else None,
            'made': self.made,
        }
        with atomic_write(Path(self.root, INDEX)) as half:
            half.write_text(json.dumps(about, indent=1) + '\n')


_NAMES = 'utf-8', 'surrogateescape'  # file names may be any bytes


def is_packed(root: str | os.PathLike) -> bool:
    """Whether a folder has packed images with an index; an address must have."""
    return is_url(root) or os.path.isfile(os.path.join(os.path.expanduser(root), INDEX))


def open_packed(root: str | os.PathLike) -> PackedImages:
    """Read the index of a folder of packed images, or of an address of one.

    An index may come from strangers: numbers are checked, nothing is
    unpickled or decompressed, and shards must be in the folder.

    Args:
        root (str): The folder or address.

    Raises:
        MissingFileError: If there is no index at an address.
        InputError: If the index is damaged, of another version, or does not fit
            its shards.
    """
    folder, remote = os.fspath(root), is_url(root)
    folder = folder.rstrip('/') if remote else os.path.expanduser(folder)
    path = join(folder, INDEX)
    forget_open_shards()
    index, members = _contents(folder)
    try:
        about = json.loads(index)
        if about['version'] != VERSION:
            raise InputError(
                f"'{path}' is of version {about['version']}, this is {VERSION}: "
                'make it again with mmdisco pack --index'
            )
        shards = [
            Shard(s['url'], s['nsamples'], s['filesize'], s['sha256'])
            for s in about['shardlist']
        ]
        arrays = _arrays(members)
        names = arrays['names'].tobytes().decode(*_NAMES).split('\0')
        images = PackedImages(
            folder,
            shards,
            names,
            arrays['shard'],
            arrays['start'],
            arrays['size'],
            arrays.get('labels'),
            about['classes'] or (),
            about['made'],
        )
        problem = _problem(images, about['images'])
    except InputError:
        raise
    except Exception as error:  # of json, numpy and zipfile, or a missing key
        problem = f'{type(error).__name__}: {error}'
    if problem:
        raise InputError(
            f"the index of packed images '{path}' is damaged ({problem}): copy it "
            'again, or make it again with mmdisco pack --index'
        )
    if remote:
        keep_index(folder, index)
        _warn_small_cache(images)
    else:
        for shard, file in zip(images.shards, images.files):
            _check_size(file, shard.bytes)
    return images


def _contents(folder: str) -> tuple[bytes, bytes]:
    """Contents of the two files of an index."""
    if is_url(folder):
        return fetch(join(folder, INDEX)), fetch(join(folder, MEMBERS))
    index, members = Path(folder, INDEX), Path(folder, MEMBERS)
    try:
        return index.read_bytes(), members.read_bytes()
    except OSError as error:
        raise InputError(
            f"the index of packed images '{index}' can't be read ({error}): copy it "
            'again, or make it again with mmdisco pack --index'
        ) from error


def _warn_small_cache(images: PackedImages) -> None:
    """Warn that shards would be fetched more than once."""
    total, cache = sum(shard.bytes for shard in images.shards), cache_bytes()
    if 0 < cache < total:
        print_log(
            f"the shards in '{images.root}' have {total / 1e9:.3g} GB, their cache "
            f'{cache / 1e9:.3g}: unless ShardSampler orders the images, shards are '
            'fetched again and again; raise MMDISCO_SHARD_CACHE_GB, or set it to 0 to '
            'fetch single images',
            logger='current',
            level=logging.WARNING,
        )


def _check_size(path: str, size: int) -> None:
    """Reject a shard that was not copied completely."""
    try:
        found = os.path.getsize(path)
    except OSError as error:
        raise ShardError(
            f"shard '{path}' of the index can't be read ({error.strerror}): copy it, "
            'too, or pack the images again'
        ) from error
    if found != size:
        raise ShardError(
            f"shard '{path}' has {found} bytes, {size} in the index: copy it again, or "
            'pack the images again'
        )


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    """Arrays of an .npz file that is not compressed."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        if any(each.compress_type for each in file.infolist()):
            raise ValueError(f'{MEMBERS} is compressed')
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)


def _problem(images: PackedImages, number: Any) -> str:
    """What is wrong in an index, '' if nothing."""
    labels = images.labels
    columns: list[np.ndarray] = [images.shard, images.start, images.size]
    columns += [] if labels is None else [labels]
    if {len(images), *map(len, columns)} != {number}:
        return f'it lists {len(images)} names and {number} images'
    if any(column.ndim != 1 or column.dtype.kind != 'i' for column in columns):
        return 'its columns are not integers'
    for shard in images.shards:
        # a path would leave the folder
        if not shard.name or os.path.basename(shard.name) != shard.name:
            return f"its shard '{shard.name}' is not the name of a file"
    if images.shard.min() < 0 or images.shard.max() >= len(images.shards):
        return f'it has {len(images.shards)} shards, an image is in another'
    ends = np.array([shard.bytes for shard in images.shards])[images.shard]  # [N]
    if (
        min(images.start.min(), images.size.min()) < 0
        or ((images.size > ends) | (images.start > ends - images.size)).any()
    ):
        return 'an image is outside its shard'
    if labels is not None and not (
        0 <= labels.min() and labels.max() < len(images.classes)
    ):
        return f'it has {len(images.classes)} classes, a label is outside them'
    return ''

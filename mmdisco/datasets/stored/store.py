"""A teacher's embeddings of replayed views: a header and memory-mapped shards."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmdisco.errors import InputError, MissingFileError

FORMAT = 1
HEADER, PROBE = 'header.json', 'probe.npz'
DTYPES = ('fp16', 'int8', 'fp32')
MOST_OPEN = 256  # files; processes may often open 1024


class Shard(NamedTuple):
    """A file of embeddings: all views of a range of images, or further ones.

    Attributes:
        kind (int): Index of the kind of view.
        start (int): First image.
        stop (int): Image after the last.
        first (int): First view.
        last (int): View after the last.
    """

    kind: int
    start: int
    stop: int
    first: int
    last: int

    @property
    def rows(self) -> int:
        """Number of embeddings."""
        return (self.stop - self.start) * (self.last - self.first)

    @property
    def name(self) -> str:
        """Name of the file, without its ending."""
        return (
            f'kind{self.kind}-images{self.start}-{self.stop}'
            f'-views{self.first}-{self.last}'
        )


class _Part(NamedTuple):
    """Images and views that were added at once, cut into shards of some images."""

    start: int
    stop: int
    first: int
    last: int
    step: int


def _parts(growth: Sequence[dict]) -> list[_Part]:
    """All parts: further views of earlier images, then all views of new images."""
    parts, images, views = [], 0, 0
    for entry in growth:
        step = entry['images_per_shard']
        if images and entry['views'] > views:
            parts.append(_Part(0, images, views, entry['views'], step))
        if entry['images'] > images:
            parts.append(_Part(images, entry['images'], 0, entry['views'], step))
        images, views = entry['images'], entry['views']
    return parts


def shards_of(header: dict, growth: Sequence[dict] | None = None) -> Iterator[Shard]:
    """All shards of a store.

    Args:
        header (dict): Its header.
        growth (Sequence[dict], optional): Some entries of its growth. Defaults to
            None, all.
    """
    parts = _parts(header['growth'] if growth is None else growth)
    for kind in range(len(header['kinds'])):
        for part in parts:
            for start in range(part.start, part.stop, part.step):
                stop = min(start + part.step, part.stop)
                yield Shard(kind, start, stop, part.first, part.last)


def record_dtype(dtype: str, width: int) -> np.dtype:
    """Type of one embedding on disk: numbers, in 'int8' with their scale."""
    if dtype == 'int8':
        return np.dtype([('scale', '<f4'), ('values', 'i1', (width,))])
    return np.dtype((dict(fp16='<f2', fp32='<f4')[dtype], (width,)))


def encode(embeds: np.ndarray, dtype: str) -> np.ndarray:
    """Round embeddings to what is stored.

    Args:
        embeds (np.ndarray): fp32 [N, D]. A row with a NaN has no embedding.
        dtype (str): 'fp16', 'int8' or 'fp32'. 'int8' divides each row by a scale of
            its own.

    Returns:
        np.ndarray: [N] of :func:`record_dtype` for 'int8', else [N, D].
    """
    if dtype != 'int8':
        return embeds.astype(record_dtype(dtype, 1).base)
    scale = np.abs(embeds).max(1) / 127  # [N]
    rows = np.zeros(len(embeds), record_dtype(dtype, embeds.shape[1]))
    rows['scale'] = scale
    divisor = np.where(scale > 0, scale, 1)[:, None]
    rows['values'] = np.nan_to_num(np.rint(embeds / divisor)).astype(np.int8)
    return rows


def decode(rows: np.ndarray) -> np.ndarray:
    """Embeddings of stored rows, fp32 [N, D]."""
    if rows.dtype.names:
        return rows['values'].astype(np.float32) * rows['scale'][..., None]
    return rows.astype(np.float32)


def identity_of(header: dict) -> str:
    """Digest of everything that determines the embeddings of a store."""
    keys = ('format', 'seed', 'teacher', 'images', 'kinds', 'versions', 'dtype')
    text = json.dumps([header[key] for key in keys], sort_keys=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def read_header(folder: str | Path) -> dict[str, Any]:
    """Read the header of a store.

    Args:
        folder (str or Path): The store.

    Raises:
        MissingFileError: If there is none.
        InputError: If it is not one of this version.
    """
    path = Path(folder).expanduser() / HEADER
    if not path.is_file():
        raise MissingFileError(
            f"'{folder}' is not a teacher store ({HEADER} is missing): write one with "
            'mmdisco store'
        )
    try:
        header = json.loads(path.read_text())
        format_ = header['format']
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"'{path}' is damaged: remove the folder") from error
    if format_ != FORMAT:
        raise InputError(
            f"'{path}' has format {format_}, this version reads {FORMAT}: store again"
        )
    return header


def check_shard(folder: Path, header: dict, shard: Shard, content: bool = False) -> str:
    """Compare a shard with its sidecar.

    Args:
        folder (Path): The store.
        header (dict): Its header.
        shard (Shard): The shard.
        content (bool): Whether to read the file and compare its checksum, too.
            Defaults to False.

    Returns:
        str: 'missing', 'whole', or what is wrong.
    """
    path = folder / f'{shard.name}.npy'
    try:
        side = json.loads(path.with_suffix('.json').read_text())
    except FileNotFoundError:
        return 'missing'
    except ValueError:
        return 'its sidecar is damaged'
    if side.get('store') != header['identity'] or side.get('shard') != list(shard):
        return 'it is of another store'
    size = path.stat().st_size if path.is_file() else -1
    if size != side['bytes']:
        return f'{size} bytes instead of {side["bytes"]}' if size >= 0 else 'missing'
    if content:
        with path.open('rb') as file:
            digest = hashlib.file_digest(file, 'sha256').hexdigest()
        if digest != side['sha256']:
            return 'another checksum'
    return 'whole'


def missing_shards(
    folder: Path, header: dict, growth: Sequence[dict] | None = None
) -> list[Shard]:
    """Shards that are still to be written.

    Args:
        folder (Path): The store.
        header (dict): Its header.
        growth (Sequence[dict], optional): As of :func:`shards_of`.

    Raises:
        InputError: If a shard is damaged.
    """
    missing = []
    for shard in shards_of(header, growth):
        state = check_shard(folder, header, shard)
        if state == 'missing':
            missing.append(shard)
        elif state != 'whole':
            raise_damaged(folder, shard, state)
    return missing


def raise_damaged(folder: Path, shard: Shard, why: str) -> None:
    """Raise an :class:`InputError` for a damaged shard."""
    raise InputError(
        f"shard '{folder / shard.name}.npy' is damaged ({why}): remove it and its "
        '.json, and run mmdisco store again'
    )


def names_digest(names: Sequence[str]) -> np.ndarray:
    """A digest of each name, uint64 [N]."""
    return np.array(
        [
            int.from_bytes(
                blake2b(n.encode('utf-8', 'surrogateescape'), digest_size=8).digest(),
                'little',
            )
            for n in names
        ],
        np.uint64,
    )


def write_list(path: Path, names: Sequence[str], sizes: Sequence[int]) -> None:
    """Write a list of images: size in bytes and name, one per line."""
    text = ''.join(f'{size}\t{name}\n' for size, name in zip(sizes, names))
    path.write_bytes(text.encode('utf-8', 'surrogateescape'))


def read_list(folder: Path, entry: dict) -> tuple[list[str], list[int]]:
    """Names and sizes of the images of one growth.

    Args:
        folder (Path): The store.
        entry (dict): Entry of the growth in its header.

    Raises:
        InputError: If the file is missing or damaged.
    """
    path = folder / entry['list']
    content = path.read_bytes() if path.is_file() else b''
    if hashlib.sha256(content).hexdigest() != entry['sha256']:
        raise InputError(f"'{path}' is missing or damaged: store again")
    lines = content.decode('utf-8', 'surrogateescape').split('\n')[:-1]
    pairs = [line.split('\t', 1) for line in lines]
    return [name for _, name in pairs], [int(size) for size, _ in pairs]


class Store:
    """A teacher's embeddings of replayed views, to be read.

    Any number of processes may read a store, also while it grows: what was not
    complete when it was opened is left out.

    Args:
        folder (str or Path): The store.

    Attributes:
        header (dict): Its header.
        num_views (int): Views of an image, K.
        names (list[str]): Paths of the images below their folder, with '/'.
        sizes (list[int]): Their bytes.

    Raises:
        MissingFileError: If there is no store.
        InputError: If it is damaged, or not yet complete.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        self.header = read_header(folder)
        growth = list(self.header['growth'])
        self.left_out = 0  # entries of growth that are not complete
        while missing := missing_shards(self.folder, self.header, growth):
            growth.pop()
            self.left_out += 1
            if not growth:
                total = sum(1 for _ in shards_of(self.header))
                raise InputError(
                    f"store '{folder}' is not complete, {len(missing)} of {total} "
                    'shards are missing: run its mmdisco store command again'
                )
        self.num_views: int = growth[-1]['views']
        self._parts = _parts(growth)
        self._maps: dict[Shard, np.ndarray] = {}
        self.names: list[str] = []
        self.sizes: list[int] = []
        for entry in growth:
            if entry['list']:
                names, sizes = read_list(self.folder, entry)
                self.names += names
                self.sizes += sizes
        digests = names_digest(self.names)
        self._order = np.argsort(digests)  # [N]
        self._digests = digests[self._order]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    def rows_of(self, names: Sequence[str]) -> np.ndarray:
        """Index of each image by its name, -1 if it is not stored, [N]."""
        digests = names_digest(names)
        place = np.searchsorted(self._digests, digests)
        place = np.minimum(place, len(self._digests) - 1)
        return np.where(self._digests[place] == digests, self._order[place], -1)

    def embeds(self, row: int, kind: int, views: Sequence[int]) -> np.ndarray:
        """Embeddings of some views of an image.

        Args:
            row (int): Index of the image.
            kind (int): Kind of the views.
            views (Sequence[int]): Numbers of the views, below ``num_views``.

        Returns:
            np.ndarray: fp32 [V, D]; NaN for an image that could not be read.
        """
        return np.stack([self._embed(row, kind, view) for view in views])

    def _embed(self, row: int, kind: int, view: int) -> np.ndarray:
        part = next(
            p
            for p in self._parts
            if p.start <= row < p.stop and p.first <= view < p.last
        )
        start = row - (row - part.start) % part.step
        stop = min(start + part.step, part.stop)
        shard = Shard(kind, start, stop, part.first, part.last)
        rows = self._map(shard)
        return decode(rows[row - start, view - part.first])

    def _map(self, shard: Shard) -> np.ndarray:
        """Memory-map a shard, [images, views] of rows."""
        if shard not in self._maps:
            if len(self._maps) == MOST_OPEN:
                self._maps.clear()
            path = self.folder / f'{shard.name}.npy'
            try:
                self._maps[shard] = np.load(path, mmap_mode='r')
            except (OSError, ValueError) as error:
                raise InputError(
                    f"shard '{path}' can't be read ({error}): 'mmdisco store' with "
                    '--verify checks all'
                ) from error
        return self._maps[shard]

    def __getstate__(self) -> dict:
        """Leave out open files, which each process opens itself."""
        return dict(vars(self), _maps={})

"""Shards on a server or in an object store, with a cache of bounded size.

A shard is fetched whole when its first image is read, checked, and kept in a folder
that all processes of a machine share; the shards that were opened longest ago make
room for others. The environment sets what belongs to the machine:

- ``MMDISCO_SHARD_CACHE``: the folder; ``~/.cache/mmdisco/shards`` by default;
- ``MMDISCO_SHARD_CACHE_GB``: its size, 50 by default; 0 fetches each image by itself.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mmdisco.errors import InputError, MissingFileError
from mmdisco.utils import atomic_write
from mmdisco.version import __version__

TRIES = 5  # without progress, before giving up
PAUSE = 1.0  # seconds after the first failure, doubled after each
TIMEOUT = 30.0  # seconds without a byte
PROGRESS = 1 << 16  # bytes after which the tries count anew
CHUNK = 1 << 18  # bytes


class ShardError(InputError):
    """A shard can't be read: not a fault of one image, which could be skipped."""


class RemoteShard(NamedTuple):
    """Size and content of a shard, by its index."""

    bytes: int
    sha256: str


def is_url(path: str | os.PathLike) -> bool:
    """Whether a path is an address, as ``https://`` or ``s3://``."""
    return bool(re.match(r'[a-zA-Z][\w+.-]*://', os.fspath(path)))


def join(root: str, name: str) -> str:
    """Path of a file in a folder, which may be an address."""
    return f'{root.rstrip("/")}/{name}' if is_url(root) else os.path.join(root, name)


def cache_folder() -> Path:
    """Folder of fetched shards."""
    default = '~/.cache/mmdisco/shards'
    return Path(os.environ.get('MMDISCO_SHARD_CACHE', default)).expanduser()


def cache_bytes() -> float:
    """Largest size of the cache.

    Raises:
        InputError: If the variable is not a number from 0 on.
    """
    text = os.environ.get('MMDISCO_SHARD_CACHE_GB', '50')
    try:
        size = float(text) * 1e9
    except ValueError:
        size = -1
    if not size >= 0:
        raise InputError(
            f"MMDISCO_SHARD_CACHE_GB is '{text}': set a number of gigabytes, 0 for none"
        )
    return size


_FAULTS = (OSError, HTTPException, EOFError)  # may not come again


class _Patience:
    """Bounded number of tries for one address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.failures = 0

    def failed(self, error: Exception, progress: int = 0) -> None:
        """Wait after a failure.

        Args:
            error (Exception): The failure.
            progress (int): Bytes that came since the last one. Defaults to 0.

        Raises:
            MissingFileError: If the file does not exist.
            ShardError: If it is the last failure.
        """
        if isinstance(error, FileNotFoundError):
            raise MissingFileError(
                f"'{self.url}' does not exist: check the address"
            ) from error
        self.failures = 1 if progress >= PROGRESS else self.failures + 1
        if self.failures == TRIES:
            reason = getattr(error, 'reason', '') or error
            raise ShardError(
                f"'{self.url}' can't be read ({reason or type(error).__name__}), tried "
                f'{TRIES} times: check network and server, then start again'
            ) from error
        time.sleep(PAUSE * 2 ** (self.failures - 1))


def fetch(url: str) -> bytes:
    """Read a small file with a bounded number of tries.

    Args:
        url (str): Its address.

    Raises:
        MissingFileError: If the file does not exist.
        ShardError: If it can't be read.
    """
    patience = _Patience(url)
    while True:
        try:
            return b''.join(_chunks(url, 0, None))
        except _FAULTS as error:
            patience.failed(error)


def fetch_range(url: str, start: int, end: int) -> Iterator[bytes]:
    """Read a part of a file; after a failure it goes on at the missing byte.

    Args:
        url (str): Address of the file.
        start (int): First byte.
        end (int): Byte after the last.

    Yields:
        bytes: The next bytes.

    Raises:
        MissingFileError: If the file does not exist.
        ShardError: If it can't be read, after :data:`TRIES` failures in a row, each
            with less than :data:`PROGRESS` bytes before it.
    """
    patience, progress = _Patience(url), 0
    while start < end:
        try:
            for chunk in _chunks(url, start, end):
                yield chunk
                start += len(chunk)
                progress += len(chunk)
            if start < end:
                raise OSError(f'it breaks off at byte {start} of {end}')
        except _FAULTS as error:
            patience.failed(error, progress)
            progress = 0


def _chunks(url: str, start: int, end: int | None) -> Iterator[bytes]:
    """Chunks of a file by one request over http(s), or by fsspec."""
    if not re.match('https?://', url):
        yield from _stored(url, start, end)
        return
    request = Request(url, headers={'User-Agent': f'mmdisco/{__version__}'})
    if start or end is not None:
        request.add_header('Range', f'bytes={start}-{"" if end is None else end - 1}')
    try:
        response = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise FileNotFoundError(url) from error
        if error.code < 500 and error.code not in (408, 429):
            raise ShardError(
                f"'{url}' can't be read ({error.code} {error.reason}): check the "
                'address and your rights'
            ) from error
        raise
    with response:
        left = None if end is None else end - start
        skip = start if response.status == 200 else 0  # a server without ranges
        while skip and (chunk := response.read(min(CHUNK, skip))):
            skip -= len(chunk)
        while chunk := response.read(CHUNK if left is None else min(CHUNK, left)):
            left = None if left is None else left - len(chunk)
            yield chunk
            if left == 0:
                return
        if left is None and response.length:
            raise OSError(f'it breaks off, {response.length} bytes are missing')


def _stored(url: str, start: int, end: int | None) -> Iterator[bytes]:
    """Chunks of a file in a store that fsspec knows."""
    import fsspec

    try:
        store, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # a package or a scheme is missing
        raise ShardError(f"'{url}' can't be read: {error}") from error
    try:
        if end is None:
            yield store.cat_file(path)
            return
        while start < end:
            chunk = store.cat_file(path, start, min(start + 16 * CHUNK, end))
            if not chunk:
                return
            yield chunk
            start += len(chunk)
    except (OSError, HTTPException, EOFError):
        raise
    except Exception as error:  # stores raise their libraries' exceptions
        raise OSError(f'{type(error).__name__}: {error}') from error


def keep_index(root: str, index: bytes) -> None:
    """Keep the index of a folder, where all processes find its shards' checksums.

    Args:
        root (str): Address of the folder.
        index (bytes): The JSON file of the index.
    """
    with atomic_write(_index_of(root), shared=True) as half:
        half.write_bytes(index)
    _shards_of.cache_clear()


def _index_of(root: str) -> Path:
    key = hashlib.sha256(root.rstrip('/').encode()).hexdigest()
    return cache_folder() / f'{key}.json'


@lru_cache(maxsize=16)
def _shards_of(root: str) -> dict[str, RemoteShard]:
    """Shards of a folder, by name."""
    about = json.loads(_index_of(root).read_bytes())
    return {
        shard['url']: RemoteShard(shard['filesize'], shard['sha256'])
        for shard in about['shardlist']
    }


def local_copy(url: str) -> Path:
    """Path of a shard in the cache; fetched if it is not there.

    Args:
        url (str): Address of the shard, in a folder opened before.

    Raises:
        ShardError: If it can't be fetched, or is not the one of the index.
    """
    root, name = url.rsplit('/', 1)
    shard = _shards_of(root)[name]
    path = cache_folder() / f'{shard.sha256}.tar'
    with suppress(FileNotFoundError):
        os.utime(path)
        return path
    with _lock(path):
        if path.exists():  # fetched by another process
            os.utime(path)
            return path
        _make_room(shard.bytes, url)
        for _ in range(2):
            if _download(url, shard, path):
                return path
    raise ShardError(
        f"'{url}' has another content than its index says (sha256): upload both again"
    )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process at a time fetch a shard."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix('.lock'), 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _OtherContent(Exception):
    """A fetched file has another checksum than its index says."""


def _download(url: str, shard: RemoteShard, path: Path) -> bool:
    """Fetch a shard; False if its content is wrong."""
    digest = hashlib.sha256()
    try:
        with atomic_write(path) as half, open(half, 'wb') as file:
            for chunk in fetch_range(url, 0, shard.bytes):
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != shard.sha256:
                raise _OtherContent
    except _OtherContent:
        return False
    return True


def _make_room(size: int, url: str) -> None:
    """Remove the shards that were opened longest ago."""
    limit, folder = cache_bytes(), cache_folder()
    if size > limit:
        raise ShardError(
            f"'{url}' has {size / 1e9:.3g} GB, the cache of shards {limit / 1e9:.3g}: "
            'raise MMDISCO_SHARD_CACHE_GB'
        )
    kept = []
    for path in folder.glob('*.tar'):
        with suppress(FileNotFoundError):
            about = path.stat()
            kept.append((about.st_mtime_ns, about.st_size, path))
    total = sum(each[1] for each in kept)
    for _, used, path in sorted(kept):
        if total + size <= limit and shutil.disk_usage(folder).free > size:
            return
        path.unlink(missing_ok=True)
        total -= used


def fetch_ahead(files: Sequence[str]) -> None:
    """Fetch shards in the background; does nothing for local ones.

    An error is not reported here: it comes again when an image is read.

    Args:
        files (Sequence[str]): Paths or addresses of shards.
    """
    urls = [file for file in files if is_url(file)]
    if urls and cache_bytes():
        threading.Thread(target=_fetch_all, args=(urls,), daemon=True).start()


def _fetch_all(urls: Sequence[str]) -> None:
    for url in urls:
        try:
            local_copy(url)
        except (InputError, OSError):
            return

"""Images in tar shards as paths, which any transform can load.

A tar file is not compressed, so an image in it is a range of bytes. The path
``pack://SHARD?START+SIZE#NAME`` names that range, and a file backend of mmengine
reads it: a transform that loads with ``mmengine.fileio`` takes it for a file.
"""

import os
import re
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from mmengine.fileio import BaseStorageBackend, register_backend

from mmdisco.errors import InputError
from .remote import ShardError, cache_bytes, fetch_range, is_url, local_copy

SCHEME = 'pack'
_PATH = re.compile(rf'{SCHEME}://(.+?)\?(\d+)\+(\d+)#(.*)', re.DOTALL)


class Member(NamedTuple):
    """Position of a file in a shard, in bytes."""

    shard: str
    start: int
    size: int


def pack_path(member: Member, name: str) -> str:
    """Path of an image in a shard.

    Args:
        member (Member): Position of the image.
        name (str): Name of the image, for messages.
    """
    # mmengine splits a path at '://', which must occur once
    shard = member.shard.replace('://', ':||', 1)
    name = re.sub(':/{2,}', ':/', name)
    return f'{SCHEME}://{shard}?{member.start}+{member.size}#{name}'


def split_path(path: str) -> tuple[Member, str]:
    """Position and name of an image from its :func:`pack_path`.

    Raises:
        InputError: If the path is not of this form.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise InputError(
            f"'{path}' is not a path of a packed image, {SCHEME}://SHARD?START+SIZE#NAME"
        )
    shard, start, size, name = match.groups()
    shard = re.sub(r'^([a-zA-Z][\w+.-]*):\|\|', r'\1://', shard)
    return Member(shard, int(start), int(size)), name


def describe(path: str) -> str:
    """Name of an image in messages, quoted: a file, or a member of a shard."""
    if not path.startswith(f'{SCHEME}://'):
        return f"'{path}'"
    member, name = split_path(path)
    return f"'{name}' in '{member.shard}'"


@lru_cache(maxsize=128)  # below the limit of open files
def _opened(shard: str) -> BinaryIO:
    return open(shard, 'rb')


@lru_cache(maxsize=8)  # removed from the cache, an open shard still takes its space
def _opened_copy(url: str) -> BinaryIO:
    return open(local_copy(url), 'rb')


def forget_open_shards() -> None:
    """Close open shards, which may have been replaced by others."""
    _opened.cache_clear()
    _opened_copy.cache_clear()


def read_member(member: Member) -> bytes:
    """Content of a file in a shard.

    Threads and forked workers share a handle.

    Raises:
        ShardError: If the shard does not exist, can't be read or is too short.
    """
    remote = is_url(member.shard)
    try:
        if remote and not cache_bytes():
            end = member.start + member.size
            return b''.join(fetch_range(member.shard, member.start, end))
        file = _opened_copy(member.shard) if remote else _opened(member.shard)
        data = os.pread(file.fileno(), member.size, member.start)
    except InputError as error:
        raise ShardError(str(error)) from error
    except OSError as error:
        raise ShardError(
            f"shard '{member.shard}' can't be read ({error.strerror}): check the disk, "
            'or copy it again'
        ) from error
    if len(data) < member.size:
        raise ShardError(
            f"shard '{member.shard}' ends before byte {member.start + member.size}: "
            'copy it again, or pack the images again'
        )
    return data


@register_backend(SCHEME, prefixes=SCHEME, force=True)
class PackBackend(BaseStorageBackend):
    """File backend of mmengine for images in tar shards."""

    def get(self, filepath: str) -> bytes:
        """Read an image's bytes."""
        return read_member(split_path(str(filepath))[0])

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """Read a member as text."""
        return self.get(filepath).decode(encoding)

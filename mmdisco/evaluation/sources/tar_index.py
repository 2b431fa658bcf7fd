import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmdisco.errors import InputError


class Member(NamedTuple):
    """Where the bytes of a file are in a shard."""

    shard: str
    written: int  # st_mtime_ns of the shard
    start: int
    size: int


def read_index(path: Path) -> Iterator[tuple[tarfile.TarInfo, Member]]:
    """Files and folders of a tar shard, without their content.

    Args:
        path (Path): The shard, not compressed.

    Yields:
        tuple: The entry, its name without a leading './', and where it is.

    Raises:
        InputError: If the shard is damaged, cut short or compressed, or has a
            link, whose image is elsewhere.
    """
    written = path.stat().st_mtime_ns
    try:
        with tarfile.open(path, 'r:') as tar:
            while (entry := tar.next()) is not None:
                tar.members.clear()  # a million of them take a gigabyte
                entry.name = entry.name.removeprefix('./')
                if entry.issparse() or not (entry.isreg() or entry.isdir()):
                    raise InputError(
                        f"'{path}' has '{entry.name}', a link or no common "
                        'file: make it anew with tar --dereference '
                        '--hard-dereference'
                    )
                yield entry, Member(str(path), written, entry.offset_data, entry.size)
            # tarfile takes a broken header for the end
            tar.fileobj.seek(tar.offset)
            if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise InputError(
                    f"'{path}' is damaged or cut short at byte "
                    f'{tar.offset}: copy it anew'
                )
    except tarfile.TarError as error:
        raise InputError(
            f"'{path}' is no whole tar file, or a compressed one "
            f'({error}): copy it anew, or unpack it to a plain '
            '.tar'
        ) from error

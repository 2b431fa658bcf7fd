"""Positions of the files in a tar shard."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from mmdisco.errors import InputError
from .storage import Member, forget_open_shards


def read_tar(path: Path) -> Iterator[tuple[tarfile.TarInfo, Member]]:
    """Files and folders of a tar shard, without their content.

    Nothing is extracted, decoded or unpickled, so names of members can't write
    outside a folder, and their content can't run code.

    Args:
        path (Path): The shard, uncompressed.

    Yields:
        tuple: The entry, named without a leading './', and its position.

    Raises:
        InputError: If the shard is damaged, truncated or compressed, or has a
            link.
    """
    forget_open_shards()
    try:
        with tarfile.open(path, 'r:') as tar:
            while (entry := tar.next()) is not None:
                # a million members take a gigabyte
                tar.members.clear()  # type: ignore[attr-defined]
                entry.name = entry.name.removeprefix('./')
                if entry.issparse() or not (entry.isreg() or entry.isdir()):
                    raise InputError(
                        f"'{path}' has '{entry.name}', a link or special file: "
                        'create it again with tar --dereference '
                        '--hard-dereference'
                    )
                yield entry, Member(str(path), entry.offset_data, entry.size)
            # tarfile treats a broken header as the end
            tar.fileobj.seek(tar.offset)
            if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise InputError(
                    f"'{path}' is damaged or truncated at byte "
                    f'{tar.offset}: copy it again'
                )
    except tarfile.TarError as error:
        raise InputError(
            f"'{path}' is not a complete tar file, or a compressed one "
            f'({error}): copy it again, or decompress it to a plain .tar'
        ) from error

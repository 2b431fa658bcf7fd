"""Safe unpacking of tar and zip archives of data."""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from mmdisco.errors import InputError, MissingFileError
from mmdisco.utils import atomic_write
from .headers import with_bar

COCO_FOLDERS = ('train2017', 'val2017', 'annotations')
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)


# Added to archives by macOS.
_MAC = ('__MACOSX', '.DS_Store')


class Unpacked(NamedTuple):
    """Result of unpacking an archive.

    Attributes:
        written: Number of files written.
        left_out: Names of files that are not needed.
    """

    written: int
    left_out: list[str]


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path, root: Path, inside: str | None = None, tops: Sequence[str] = ()
) -> Unpacked:
    """Unpack a tar or zip file, only below ``root``.

    All names are checked before the first file is written. Each file is
    written completely or not at all, and an existing file of the same size is
    kept: after an interruption, repeat the call.

    Args:
        archive (Path): The file.
        root (Path): Folder to unpack into; created if missing.
        inside (str, optional): Folder in the archive that becomes the root,
            e.g. 'VOCdevkit'. Defaults to None.
        tops (Sequence[str]): Allowed top-level names in the root. Defaults to
            (): any.

    Returns:
        Unpacked: Number of files written, and the names left out: files
        outside ``inside`` or ``tops``, and files added by macOS.

    Raises:
        MissingFileError: If the archive does not exist.
        InputError: If the archive is damaged, truncated or not the expected
            one, or the root can't be written.
    """
    if not archive.is_file():
        raise MissingFileError(f"archive '{archive}' not found")
    try:
        with _opened(archive) as file:
            members = _members(file)
            places = [_place(archive, m.name, inside, tops) for m in members]
            pairs = [(m, place) for m, place in zip(members, places) if place]
            left_out = [m.name for m, place in zip(members, places) if not place]
            if not pairs:
                expected = f'{inside}/...' if inside else '/... or '.join(tops) + '/...'
                raise InputError(
                    f"'{archive}' holds "
                    + (f"'{members[0].name}'" if members else 'no file')
                    + f', not {expected}: it is another archive; nothing was '
                    'unpacked'
                )
            written = 0
            for member, place in with_bar(pairs, archive.name):
                path = root / place
                if path.is_file() and path.stat().st_size == member.size:
                    continue
                _write(member, path)
                written += 1
    except DAMAGED as error:
        reason = str(error).split(':\n')[0]  # the rest has each compression
        raise InputError(
            f"'{archive}' is damaged or truncated ({reason}): download it again"
        ) from error
    except OSError as error:
        raise InputError(f"can't unpack '{archive}' into '{root}': {error}") from error
    return Unpacked(written, left_out)


def _opened(archive: Path):
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive)
    if archive.suffix == '.zip':  # its directory is at the end
        raise zipfile.BadZipFile('no directory of its files')
    return tarfile.open(archive)


def _members(file) -> list[Member]:
    """List the files in an archive; links and devices are an error."""
    if isinstance(file, zipfile.ZipFile):
        return [
            Member(m.filename, m.file_size, partial(file.open, m))
            for m in file.infolist()
            if not m.is_dir()
        ]
    members = file.getmembers()
    _check_end(file, members)
    members = [m for m in members if not m.isdir()]
    for member in members:
        if not member.isfile():
            raise InputError(
                f"'{file.name}' holds '{member.name}', which is "
                'not a regular file: nothing was unpacked'
            )
    return [Member(m.name, m.size, partial(file.extractfile, m)) for m in members]


def _check_end(file: tarfile.TarFile, members: list) -> None:
    """Check for the zero block at the end of a tar.

    tarfile does not notice an archive truncated between two files.
    """
    block = tarfile.BLOCKSIZE
    end = -(-members[-1].size // block) * block if members else 0
    stream: Any = file.fileobj
    stream.seek((members[-1].offset_data if members else 0) + end)
    if stream.read(block) != bytes(block):
        raise tarfile.ReadError('no end of the archive')


def _place(
    archive: Path, name: str, inside: str | None, tops: Sequence[str]
) -> Path | None:
    """Target of a file, relative to the root; None if it is left out."""
    parts = PurePosixPath(name.replace('\\', '/')).parts
    if not parts or parts[0] == '/' or '..' in parts or ':' in parts[0]:
        raise InputError(
            f"'{archive}' holds '{name}', which leaves the folder: nothing was unpacked"
        )
    if any(part in _MAC or part.startswith('._') for part in parts):
        return None
    if inside:
        fits = parts[0] == inside and len(parts) > 1
        parts = parts[1:]
    else:
        fits = True
    if not fits or (tops and (parts[0] not in tops or len(parts) == 1)):
        return None
    return Path(*parts)


def _write(member: Member, path: Path) -> None:
    with atomic_write(path) as half:
        source = member.open()
        assert source is not None  # only regular files are members
        with source, half.open('wb') as target:
            shutil.copyfileobj(source, target, 1 << 20)
        if half.stat().st_size != member.size:
            raise EOFError(f"'{member.name}' ends early")

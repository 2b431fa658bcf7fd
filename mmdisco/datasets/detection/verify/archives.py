import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mmdisco.errors import InputError, MissingFileError
from mmdisco.utils import atomic_write
from .headers import with_bar

COCO_FOLDERS = ('train2017', 'val2017', 'annotations')
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)


# Which a Mac adds to an archive.
_MAC = ('__MACOSX', '.DS_Store')


class Unpacked(NamedTuple):
    """What was done with an archive.

    Attributes:
        written: How many files were written.
        left_out: Names of those that are of no use here.
    """

    written: int
    left_out: list[str]


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    size: int
    open: Callable[[], Any]


def unpack(
    archive: Path, root: Path, inside: str | None = None, tops: Sequence[str] = ()
) -> Unpacked:
    """Unpack a tar or zip file, whose files go nowhere else.

    All that it lists is checked before the first file is written. Each file
    gets its name when it is whole, and one that is there with its size is
    not written again: after an interruption, do the same again.

    Args:
        archive (Path): The file.
        root (Path): Folder to unpack into; made if need be.
        inside (str, optional): Folder of the archive that becomes the root,
            as 'VOCdevkit'. Defaults to None.
        tops (Sequence[str]): Names that may come first in the root. Defaults
            to (): any.

    Returns:
        Unpacked: How many files were written, and which were left out: those
        that are nowhere in ``inside`` or ``tops``, and what a Mac adds.

    Raises:
        InputError: If the archive is missing, damaged, cut short, or another
            one than expected, or the root can't be written.
    """
    if not archive.is_file():
        raise MissingFileError(f"no archive '{archive}'")
    try:
        with _opened(archive) as file:
            members = _members(file)
            places = [_place(archive, m.name, inside, tops) for m in members]
            pairs = [(m, place) for m, place in zip(members, places) if place]
            left_out = [m.name for m, place in zip(members, places) if not place]
            if not pairs:
                wanted = f'{inside}/...' if inside else '/... or '.join(tops) + '/...'
                raise InputError(
                    f"'{archive}' holds "
                    + (f"'{members[0].name}'" if members else 'no file')
                    + f', not {wanted}: it is another archive; nothing was '
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
        reason = str(error).split(':\n')[0]  # one for each compression
        raise InputError(
            f"'{archive}' is damaged or cut short ({reason}): download it again"
        ) from error
    except OSError as error:
        raise InputError(f"can't unpack '{archive}' into '{root}': {error}") from error
    return Unpacked(written, left_out)


def _opened(archive: Path):
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive)
    if archive.suffix == '.zip':  # its list of files is at the end
        raise zipfile.BadZipFile('no list of its files')
    return tarfile.open(archive)


def _members(file) -> list[Member]:
    """The files in an archive; links and devices are refused."""
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
                'no plain file: nothing was unpacked'
            )
    return [Member(m.name, m.size, partial(file.extractfile, m)) for m in members]


def _check_end(file: tarfile.TarFile, members: list) -> None:
    """Two blocks of zeros end a tar; tarfile does not miss them where one was
    cut between two files."""
    block = tarfile.BLOCKSIZE
    end = -(-members[-1].size // block) * block if members else 0
    file.fileobj.seek((members[-1].offset_data if members else 0) + end)
    if file.fileobj.read(block) != bytes(block):
        raise tarfile.ReadError('no end of the archive')


def _place(
    archive: Path, name: str, inside: str | None, tops: Sequence[str]
) -> Path | None:
    """Where a file goes, below the root; None if it is left out."""
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
        with member.open() as source, half.open('wb') as target:
            shutil.copyfileobj(source, target, 1 << 20)
        if half.stat().st_size != member.size:
            raise EOFError(f"'{member.name}' ends early")

"""Encoded images in tar shards, read in place."""

import os
import tarfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

from mmdisco.datasets.listing import HIDING, Tally, why_left_out
from mmdisco.errors import InputError
from .source import Source, by_class, numbered_classes


class Member(NamedTuple):
    """Position of a file in a shard."""

    shard: str
    written: int  # st_mtime_ns of the shard
    start: int
    size: int


def read_index(path: Path) -> Iterator[tuple[tarfile.TarInfo, Member]]:
    """Files and folders of a tar shard, without their content.

    Args:
        path (Path): The shard, uncompressed.

    Yields:
        tuple: The entry, named without a leading './', and its position.

    Raises:
        InputError: If the shard is damaged, truncated or compressed, or has a
            link.
    """
    written = path.stat().st_mtime_ns
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
                yield entry, Member(str(path), written, entry.offset_data, entry.size)
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


@lru_cache(maxsize=128)  # below the limit of open files
def _opened(path: str, written: int) -> BinaryIO:
    return open(path, 'rb')


def _bytes(member: Member) -> bytes:
    """Content of a member; pread lets threads and forked workers share a handle."""
    file = _opened(member.shard, member.written)
    return os.pread(file.fileno(), member.size, member.start)


class TarSource(Source):
    """Encoded images in tar shards, read at their positions.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'.
        members (dict[str, Member]): Positions of the images by name.
        labels (list[int]): Labels of the images.
        classes (list[str]): Names of the classes.
    """

    kind = 'tar'

    def __init__(
        self,
        root: str,
        split: str,
        members: dict[str, Member],
        labels: list[int],
        classes: list[str],
    ) -> None:
        super().__init__(root, split, list(members), labels, classes)
        self.members = list(members.values())
        self.sizes = [member.size for member in self.members]

    def load(self, index: int) -> Image.Image:
        """Open one encoded image."""
        return Image.open(BytesIO(_bytes(self.members[index])))

    def where(self, index: int) -> str:
        """Name and shard of the image."""
        return f"'{self.names[index]}' in '{self.members[index].shard}'"


def open_tar(
    root: str, split: str, shards: Sequence[Path], num_classes: int | None
) -> TarSource:
    """Open the shards of tarred class folders, or WebDataset's pairs.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'.
        shards (Sequence[Path]): Tar files, uncompressed.
        num_classes (int, optional): Number of classes of pairs. Defaults to
            None: the largest label + 1.

    Returns:
        TarSource: Images 'class/name.jpg', sorted by class and name; or
        'key.jpg' with the label in 'key.cls', named 'shard.tar/key.jpg' and
        sorted by name.

    Raises:
        InputError: If a shard is damaged, the layouts are mixed, or labels
            don't fit.
    """
    images, labels, folders = {}, {}, set()
    tally = Tally()
    for shard in shards:
        for entry, member in read_index(shard):
            name = entry.name
            hidden = why_left_out(name) == HIDING
            if entry.isdir():
                folders |= set() if hidden else {name.split('/')[0]}
            elif name.endswith('.cls') and not hidden:
                labels[f'{shard.name}/{name[:-4]}'] = _label(name, member)
            elif tally.takes(name):
                images[f'{shard.name}/{name}'] = member
    where = str(shards[0]) + (' ...' if len(shards) > 1 else '')
    tally.log(where)
    if labels:
        images = dict(sorted(images.items()))
        numbers = _paired(images, labels, where)
        return TarSource(
            root, split, images, numbers, numbered_classes(numbers, num_classes, where)
        )
    members: dict[str, Member] = {}
    for path, member in images.items():
        name = path.split('/', 1)[1]
        if name in members:
            raise InputError(
                f"'{name}' is in '{members[name].shard}' and in "
                f"'{member.shard}': remove one of them"
            )
        members[name] = member
    names, numbers, classes = by_class(members, where, folders)
    return TarSource(
        root, split, {name: members[name] for name in names}, numbers, classes
    )


def _label(name: str, member: Member) -> int:
    text = _bytes(member)[:80].decode(errors='replace').strip()
    if not text.isdecimal() or len(text) > 6:
        raise InputError(
            f"'{name}' in '{member.shard}' has '{text}', should be a class index from 0"
        )
    return int(text)


def _paired(images: dict[str, Member], labels: dict[str, int], where: str) -> list[int]:
    """The label of each image, by its path without the extension."""
    keys = [os.path.splitext(name)[0] for name in images]
    unpaired = sorted({*keys} ^ {*labels})
    if unpaired:
        has, lacks = (
            ('a label', 'image') if unpaired[0] in labels else ('an image', 'label')
        )
        raise InputError(
            f"'{where}' has {has} '{unpaired[0]}' without {lacks}: provide "
            "'key.jpg' and 'key.cls' for all, or class folders without '.cls'"
        )
    return [labels[key] for key in keys]

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
from .archived import by_class
from .source import Source, numbered_classes


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


@lru_cache(maxsize=128)  # shards may be more than files that may be open
def _opened(path: str, written: int) -> BinaryIO:
    return open(path, 'rb')


def _bytes(member: Member) -> bytes:
    """Content of a member; threads and forked workers may share the handle."""
    file = _opened(member.shard, member.written)
    return os.pread(file.fileno(), member.size, member.start)


class TarSource(Source):
    """Encoded images in tar shards, each read where the index says.

    Args:
        root (str): What the user gave.
        split (str): 'train' or 'test'.
        members (Dict[str, Member]): Where each image is, by its name.
        labels (List[int]): Of each image.
        classes (List[str]): Names of the labels.
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
        return Image.open(BytesIO(_bytes(self.members[index])))

    def where(self, index: int) -> str:
        return f"'{self.names[index]}' in '{self.members[index].shard}'"


def open_tar(
    root: str, split: str, shards: Sequence[Path], num_classes: int | None
) -> TarSource:
    """Shards of a tarred image folder, or WebDataset's pairs.

    Args:
        root (str): What the user gave.
        split (str): 'train' or 'test'.
        shards (Sequence[Path]): Tar files, not compressed.
        num_classes (int, optional): How many classes the labels of pairs are
            of; None for as many as the largest label tells.

    Returns:
        TarSource: Of 'class/name.jpg', sorted by class and name; of 'key.jpg'
        with 'key.cls', which holds the label, named 'shard.tar/key.jpg' and
        sorted by that.

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
                f"'{member.shard}': leave one of them"
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
            f"'{name}' in '{member.shard}' has '{text}', should "
            'be the number of a class, from 0'
        )
    return int(text)


def _paired(images: dict[str, Member], labels: dict[str, int], where: str) -> list[int]:
    """The label of each image, by its path without the extension."""
    keys = [os.path.splitext(name)[0] for name in images]
    alone = sorted({*keys} ^ {*labels})
    if alone:
        has, lacks = (
            ('a label', 'image') if alone[0] in labels else ('an image', 'label')
        )
        raise InputError(
            f"'{where}' has {has} '{alone[0]}' without {lacks}: give "
            "'key.jpg' and 'key.cls' of all, or class folders and no '.cls'"
        )
    return [labels[key] for key in keys]

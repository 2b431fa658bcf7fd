"""Images in tar shards of others, and their labels."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdisco.errors import InputError, MissingFileError
from ..archive_labels import by_class, numbered_classes
from ..listing import HIDING, Tally, is_hidden, why_left_out
from .index import PackedImages, Shard
from .storage import Member, read_member
from .tar import read_tar


class Content(NamedTuple):
    """Files of interest in some shards, by 'shard.tar/name'."""

    images: dict[str, Member]
    labels: dict[str, int]  # of '.cls' files, without that ending
    folders: set[str]  # at the top


class LabelledMembers(NamedTuple):
    """Images in shards with their labels."""

    members: dict[str, Member]  # by name, in order
    labels: list[int]
    classes: list[str]


def read_content(shards: Sequence[Path], labels: bool = True) -> Content:
    """List the images and labels in some shards.

    Args:
        shards (Sequence[Path]): Tar files, uncompressed.
        labels (bool): Whether to read '.cls' files. Defaults to True.

    Raises:
        InputError: If a shard is damaged, or a label is not a number.
    """
    content = Content({}, {}, set())
    tally = Tally()
    for shard in shards:
        for entry, member in read_tar(shard):
            name = entry.name
            hidden = why_left_out(name) == HIDING
            if entry.isdir():
                content.folders.update(() if hidden else {name.split('/')[0]})
            elif name.endswith('.cls') and not hidden:
                if labels:
                    content.labels[f'{shard.name}/{name[:-4]}'] = _label(name, member)
            elif tally.takes(name):
                content.images[f'{shard.name}/{name}'] = member
    tally.log(name_of(shards))
    return content


def name_of(shards: Sequence[Path]) -> str:
    """Name of some shards in messages."""
    return str(shards[0]) + (' ...' if len(shards) > 1 else '')


def label_members(
    shards: Sequence[Path], num_classes: int | None = None
) -> LabelledMembers:
    """List tarred class folders, or WebDataset's pairs.

    Args:
        shards (Sequence[Path]): Tar files, uncompressed.
        num_classes (int, optional): Number of classes of pairs. Defaults to
            None: the largest label + 1.

    Returns:
        LabelledMembers: Images 'class/name.jpg', sorted by class and name; or
        'key.jpg' with the label in 'key.cls', named 'shard.tar/key.jpg' and
        sorted by name.

    Raises:
        InputError: If a shard is damaged, the layouts are mixed, or labels
            don't fit.
    """
    images, labels, folders = read_content(shards)
    where = name_of(shards)
    if labels:
        images = dict(sorted(images.items()))
        numbers = _paired(images, labels, where)
        return LabelledMembers(
            images, numbers, numbered_classes(numbers, num_classes, where)
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
    return LabelledMembers({name: members[name] for name in names}, numbers, classes)


def _label(name: str, member: Member) -> int:
    text = (
        read_member(member._replace(size=min(member.size, 80)))
        .decode(errors='replace')
        .strip()
    )
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


def index_shards(folder: str | os.PathLike, labels: bool = True) -> PackedImages:
    """Index the tar files of a folder, made by any program, without changing them.

    Args:
        folder (str): The folder.
        labels (bool): Whether to read classes. Defaults to True.

    Returns:
        PackedImages: The index, written to the folder. Images are named
        'class/name.jpg' in tarred class folders, else 'shard.tar/key.jpg'.

    Raises:
        MissingFileError: If the folder has no tar file.
        InputError: If a shard is damaged or compressed, or labels don't fit.
    """
    root = Path(folder).expanduser()
    shards = sorted(path for path in root.glob('*.tar') if not is_hidden(path.name))
    if not shards:
        raise MissingFileError(
            f"'{root}' has no tar file: name a folder of shards (*.tar, uncompressed)"
        )
    content = read_content(shards, labels)
    numbers: list[int] | None = None
    classes: list[str] = []
    members = content.images
    if content.labels or (labels and _in_classes(members)):
        members, numbers, classes = label_members(shards)
    if not members:
        raise InputError(f"'{name_of(shards)}' has no image: name another folder")
    names = sorted(members)
    order = {name: i for i, name in enumerate(members)}
    rows = [order[name] for name in names]
    number = {str(path): i for i, path in enumerate(shards)}
    found = [members[name] for name in names]
    shard = np.array([number[member.shard] for member in found])
    counts = np.bincount(shard, minlength=len(shards)).tolist()
    images = PackedImages(
        str(root),
        [
            Shard(path.name, count, path.stat().st_size, _sha256(path))
            for path, count in zip(shards, counts)
        ],
        names,
        shard,
        np.array([member.start for member in found]),
        np.array([member.size for member in found]),
        None if numbers is None else np.array(numbers)[rows],
        classes,
        dict(by='another program'),
    )
    images.write()
    return images


def _in_classes(images: dict[str, Member]) -> bool:
    """Whether all images of shards are in two or more folders."""
    parts = [name.split('/') for name in images]
    return all(len(part) > 2 for part in parts) and len({p[1] for p in parts}) > 1


def _sha256(path: Path) -> str:
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()

"""Checks of a training and a test split against each other."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mmdisco.errors import InputError
from .source import Source, spread


class Split(NamedTuple):
    """Labels of a split."""

    name: str  # of its images, in messages
    classes: Sequence[str]  # () if they are only numbered
    labels: Tensor  # [N]


def check_pair(train: Source, test: Source) -> None:
    """Check that a test split can be scored with a training split.

    Args:
        train (Source): Training images.
        test (Source): Test images.

    Raises:
        InputError: If one has no labels, or as :func:`check_classes`.
    """
    splits = []
    for source in (train, test):
        if source.labels is None:
            raise InputError(
                f"'{source.root}' has no labels: give images in class folders"
            )
        name = f"{source.split} images of '{source.root}'"
        splits.append(Split(name, source.classes, source.labels))
    check_classes(*splits)


def check_classes(train: Split, test: Split) -> None:
    """Check that the classes of a test split are those of a training split.

    Args:
        train (Split): Training labels.
        test (Split): Test labels.

    Raises:
        InputError: If ``train`` has a single class or a class without an
            image, a label is outside the classes, or the classes differ. Of
            numbered classes, ``test`` need not have all.
    """
    known = max(len(split.classes) for split in (train, test)) or (
        int(train.labels.max()) + 1
    )
    numbers = [str(i) for i in range(known)]
    train, test = (
        split._replace(classes=list(split.classes or numbers))
        for split in (train, test)
    )
    for split in (train, test):
        low, high = map(int, split.labels.aminmax())
        if low < 0 or high >= len(split.classes):
            raise InputError(
                f'{split.name} have label {low if low < 0 else high}, outside '
                f'the classes: there are {len(split.classes)}, labels start '
                'at 0'
            )
    present = {*train.labels.unique().tolist()}
    empty = [name for i, name in enumerate(train.classes) if i not in present]
    if empty:
        raise InputError(
            f'{train.name} have no image of {len(empty)} of '
            f"{len(train.classes)} classes, e.g. '{empty[0]}': "
            'labels start at 0 without gaps'
        )
    if len(train.classes) == 1:
        raise InputError(
            f"{train.name} have a single class, '{train.classes[0]}', for "
            'which every answer is right: give several class folders, without '
            'a folder around them (train/train/CLASS)'
        )
    _compare(train, test, numbers)


def copies(train: Source, test: Source) -> int:
    """Number of test images that are also training images.

    At most 64 test images, evenly spaced, are compared by name and pixels;
    images in memory by the checksum of all.

    Args:
        train (Source): Training images.
        test (Source): Test images.
    """
    if hasattr(train, 'images') and hasattr(test, 'images'):
        return len(test) if [*train.sizes] == [*test.sizes] else 0
    index = {name: i for i, name in enumerate(train.names)}
    both = [
        (i, index[test.names[i]]) for i in spread(len(test)) if test.names[i] in index
    ]
    return sum(
        np.array_equal(np.asarray(test[i]), np.asarray(train[j])) for i, j in both
    )


def _compare(train: Split, test: Split, numbers: list[str]) -> None:
    only_test = sorted({*test.classes} - {*train.classes})
    only_train = sorted({*train.classes} - {*test.classes})
    if train.classes == numbers and not only_test:
        only_train = []
    if only_test or only_train:
        sides = [
            f"only in {side}: '{names[0]}'"
            + (f' and {len(names) - 1} more' if len(names) > 1 else '')
            for side, names in (('train', only_train), ('test', only_test))
            if names
        ]
        raise InputError(
            f'{train.name} have {len(train.classes)} classes, {test.name} '
            f'{len(test.classes)}: {", ".join(sides)}'
            f'{_alike(only_train, only_test)}'
        )
    for first, second in zip(train.classes, test.classes):
        if first != second:  # numbered folders are sorted as text: '10', '2'
            raise InputError(
                f"{train.name} have class '{first}' where {test.name} have "
                f"'{second}': store both in the same way"
            )


def _alike(names: list[str], others: list[str]) -> str:
    """Explain the difference of two names that look the same."""

    def key(name: str) -> str:
        return unicodedata.normalize('NFC', name).strip().casefold()

    lookalikes = {key(name): name for name in others}
    for name in names:
        other = lookalikes.get(key(name))
        if other is None:
            continue
        reason = 'upper and lower case'
        if unicodedata.normalize('NFC', name) == unicodedata.normalize('NFC', other):
            reason = 'Unicode normalisation (NFD on a Mac)'
        elif name.strip() == other.strip():
            reason = 'spaces'
        return (
            f'; {ascii(name)} and {ascii(other)} differ by {reason}: rename one of them'
        )
    return ''

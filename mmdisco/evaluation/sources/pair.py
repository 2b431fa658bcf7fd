"""Whether scores of one split by another mean anything."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mmdisco.errors import InputError
from .source import Source, spread


class Split(NamedTuple):
    """Labels of a split."""

    name: str  # what a message calls its images
    classes: Sequence[str] | None  # None if they have numbers only
    labels: Tensor  # [N]


def check_pair(train: Source, test: Source) -> None:
    """Refuse splits whose scores would mean nothing.

    Args:
        train (Source): What is fitted or searched.
        test (Source): What is scored.

    Raises:
        InputError: If one has no labels, or as :func:`check_classes`.
    """
    for source in (train, test):
        if source.labels is None:
            raise InputError(
                f"'{source.root}' has no labels: give images in "
                'one folder for each class'
            )
    check_classes(
        *(
            Split(
                f"{source.split} images of '{source.root}'",
                source.classes,
                source.labels,
            )
            for source in (train, test)
        )
    )


def check_classes(train: Split, test: Split) -> None:
    """Refuse classes by which scores would mean nothing, in one line.

    Args:
        train (Split): What is fitted or searched.
        test (Split): What is scored.

    Raises:
        InputError: If ``train`` has one class alone, or a class without an
            image, a label is outside the classes, or the classes differ.
            Where they have numbers only, ``test`` need not have all of them.
    """
    known = max(len(split.classes or ()) for split in (train, test)) or (
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
                f'the classes: there are {len(split.classes)}, labels begin '
                'with 0'
            )
    filled = {*train.labels.unique().tolist()}
    empty = [name for i, name in enumerate(train.classes) if i not in filled]
    if empty:
        raise InputError(
            f'{train.name} have no image of {len(empty)} of '
            f"{len(train.classes)} classes, e.g. '{empty[0]}': "
            'labels begin with 0 and leave out none'
        )
    if len(train.classes) == 1:
        raise InputError(
            f"{train.name} have one class alone, '{train.classes[0]}', of "
            'which all are right: give several classes, in a folder each, '
            'and no folder around these (train/train/CLASS)'
        )
    _compare(train, test, numbers)


def copies(train: Source, test: Source) -> int:
    """How many test images are training images, too.

    Looked at are at most 64 of them, evenly spaced, by name, and of equal
    names the pixels. Images in memory are compared as a whole.

    Args:
        train (Source): What is fitted or searched.
        test (Source): What is scored.
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
    for ours, theirs in zip(train.classes, test.classes):
        if ours != theirs:  # numbers as names of folders: '10' before '2'
            raise InputError(
                f"{train.name} have class '{ours}' where {test.name} have "
                f"'{theirs}': store both in the same way"
            )


def _alike(names: list[str], others: list[str]) -> str:
    """What differs in two names that look the same."""

    def key(name: str) -> str:
        return unicodedata.normalize('NFC', name).strip().casefold()

    of_others = {key(name): name for name in others}
    for name in names:
        other = of_others.get(key(name))
        if other is None:
            continue
        reason = 'upper and lower case'
        if unicodedata.normalize('NFC', name) == unicodedata.normalize('NFC', other):
            reason = "the form of their Unicode (a Mac's is NFD)"
        elif name.strip() == other.strip():
            reason = 'spaces'
        return (
            f'; {ascii(name)} and {ascii(other)} differ by {reason}: rename one of them'
        )
    return ''

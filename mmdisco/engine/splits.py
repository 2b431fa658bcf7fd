"""Consistency of training and validation data sets."""

import filecmp
import os
from collections import Counter

from mmengine.dataset import BaseDataset
from torch import Tensor
from torch.utils.data import Dataset

from mmdisco.datasets import LabelledPhotos
from mmdisco.errors import InputError
from mmdisco.evaluation.sources import Split, check_classes
from mmdisco.evaluation.sources.source import spread

MAX_COMPARED = 20000  # images of a list, for comparing folders with labels


def check_splits(
    train: Dataset, train_labels: Tensor, val: Dataset, val_labels: Tensor
) -> None:
    """Reject data sets on which a classifier's scores would be meaningless.

    Args:
        train (Dataset): Training set.
        train_labels (Tensor): Its class indices, [M].
        val (Dataset): Validation set.
        val_labels (Tensor): Its class indices, [N].

    Raises:
        InputError: As :func:`check_classes`; or if image lists give a folder one
            label in training and another in validation. Folders with several
            labels are skipped.
    """
    named = [_classes(data) for data in (train, val)]
    if not all(named):  # image lists give labels without class names
        named = [named[0] or named[1]] * 2
    check_classes(
        Split(f"train images of '{_root(train)}'", named[0] or (), train_labels),
        Split(f"val images of '{_root(val)}'", named[1] or (), val_labels),
    )
    sides = [_labels_by_folder(data) for data in (train, val)]
    for folder in sorted(sides[0].keys() & sides[1].keys()):
        train_label, val_label = sides[0][folder], sides[1][folder]
        if train_label != val_label:
            raise InputError(
                f"images in a folder '{folder}' have label {train_label} in train "
                f'and {val_label} in val: number the classes of both lists in '
                'the same way'
            )


def check_list(dataset: BaseDataset, repeats: bool = False) -> None:
    """Check a list of images before training.

    Args:
        dataset (BaseDataset): A ``CustomDataset`` of mmpretrain with ``ann_file``;
            other data sets, and images that are not on disk, are skipped.
        repeats (bool): Whether an image may be listed more than once with the
            same label, e.g. to weight classes in training. Defaults to False.

    Raises:
        InputError: If an image is listed twice, or does not exist.
    """
    name = getattr(dataset, 'ann_file', '')
    if not name or not os.path.isdir(getattr(dataset, 'img_prefix', '')):
        return
    infos = map(dataset.get_data_info, range(len(dataset)))
    pairs = [
        (os.path.normpath(info['img_path']), info.get('gt_label')) for info in infos
    ]
    paths = [path for path, _ in ({*pairs} if repeats else pairs)]
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        how = 'with several labels' if repeats else 'more than once'
        raise InputError(
            f"'{name}' lists {len(twice)} images {how}, e.g. "
            f"'{min(twice)}': list each once"
        )
    if getattr(dataset, 'packed', None) is not None:  # looked up when loaded
        return
    # checking each file would take minutes on a network drive
    files: dict[str, set[str]] = {}  # by folder
    missing = []
    for path in paths:
        folder, file = os.path.split(path)
        if folder not in files:
            files[folder] = {*os.listdir(folder)} if os.path.isdir(folder) else set()
        if file not in files[folder]:
            missing.append(path)
    if missing:
        raise InputError(
            f"{len(missing)} of {len(paths)} images that '{name}' lists do "
            f"not exist, e.g. '{missing[0]}': add them, or use another list"
        )


def copies(train: BaseDataset, val: BaseDataset) -> int:
    """Count validation files that are also training files.

    At most 64 evenly spaced files are compared; a copy has the same path below
    both folders and the same content.

    Args:
        train (BaseDataset): A ``CustomDataset`` of mmpretrain; others count as 0.
        val (BaseDataset): Likewise.

    Returns:
        int: Number of copies among the compared files.
    """
    if not (getattr(train, 'img_prefix', '') and getattr(val, 'img_prefix', '')):
        return 0
    number = 0
    first, second = (getattr(data, 'packed', None) for data in (train, val))
    if first is not None and second is not None:
        rows = {name: row for row, name in enumerate(first.names)}
        for i in spread(len(second)):
            row = rows.get(second.names[i])
            number += row is not None and first.read(row) == second.read(i)
        return number
    for i in spread(len(val)):
        path = val.get_data_info(i)['img_path']
        other = os.path.join(train.img_prefix, os.path.relpath(path, val.img_prefix))
        number += (
            os.path.isfile(other)
            and os.path.isfile(path)
            and filecmp.cmp(path, other, shallow=False)
        )
    return number


def _root(dataset: Dataset) -> str:
    return (
        getattr(dataset, 'img_prefix', '')
        or getattr(dataset, 'data_root', '')
        or type(dataset).__name__
    )


def _classes(dataset: Dataset) -> list | None:
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if isinstance(dataset, LabelledPhotos) and dataset.ann_file:
        # classes are named after folders, but a list may define others
        labels = _labels_by_folder(dataset)
        if not labels or len({*labels.values()}) < len(labels):
            return None
    return [*map(str, classes)] if classes else None


def _labels_by_folder(dataset: BaseDataset) -> dict[str, int]:
    """Return the label of each folder; {} if a folder has several."""
    if not getattr(dataset, 'img_prefix', ''):
        return {}
    if not dataset.ann_file:
        return {name: i for i, name in enumerate(_classes(dataset) or ())}
    by_folder: dict[str, set[int]] = {}
    step = max(1, -(-len(dataset) // MAX_COMPARED))
    for i in range(0, len(dataset), step):
        info = dataset.get_data_info(i)
        path = os.path.relpath(info['img_path'], dataset.img_prefix)
        if os.sep in path:
            label = int(info['gt_label'])
            by_folder.setdefault(path.split(os.sep)[0], set()).add(label)
    if any(len(labels) > 1 for labels in by_folder.values()):
        return {}  # folders are not classes
    return {name: min(labels) for name, labels in by_folder.items()}

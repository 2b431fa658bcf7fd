"""Whether data sets of training and validation fit each other."""

import filecmp
import os
from collections import Counter

from mmengine.dataset import BaseDataset
from torch import Tensor

from mmdisco.datasets import LabelledPhotos
from mmdisco.errors import InputError
from mmdisco.evaluation.sources import Split, check_classes
from mmdisco.evaluation.sources.source import spread

LOOKED_AT = 20000  # images of a list whose folders and labels are compared


def check_splits(
    train: BaseDataset, train_labels: Tensor, val: BaseDataset, val_labels: Tensor
) -> None:
    """Refuse data sets of a classifier whose scores would mean nothing.

    Args:
        train (BaseDataset): What is learned from.
        train_labels (Tensor): Its class indices, [M].
        val (BaseDataset): What is scored.
        val_labels (Tensor): Its class indices, [N].

    Raises:
        InputError: As :func:`check_classes`; or if a folder of both has one
            label in training and another in validation, as by a list. Folders
            whose images have several labels are passed over.
    """
    named = [_classes(data) for data in (train, val)]
    if not all(named):  # a list has the labels of images without folders
        named = [named[0] or named[1]] * 2
    check_classes(
        Split(f"train images of '{_root(train)}'", named[0] or (), train_labels),
        Split(f"val images of '{_root(val)}'", named[1] or (), val_labels),
    )
    sides = [_labels_by_folder(data) for data in (train, val)]
    for folder in sorted(sides[0].keys() & sides[1].keys()):
        ours, theirs = sides[0][folder], sides[1][folder]
        if ours != theirs:
            raise InputError(
                f"images in a folder '{folder}' have label {ours} in train "
                f'and {theirs} in val: number the classes of both lists in '
                'the same way'
            )


def check_list(dataset: BaseDataset, repeats: bool = False) -> None:
    """Find what is wrong with a list of images before an epoch meets it.

    Args:
        dataset (BaseDataset): Others than mmpretrain's ``CustomDataset`` with an
            ``ann_file`` are passed over, and images that are not on disk.
        repeats (bool): Whether an image may be listed more than once with the
            same label, as to weigh classes in training. Defaults to False.

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
    # a look at each file would take minutes on a network drive
    there: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, file = os.path.split(path)
        if folder not in there:
            there[folder] = {*os.listdir(folder)} if os.path.isdir(folder) else set()
        if file not in there[folder]:
            missing.append(path)
    if missing:
        raise InputError(
            f"{len(missing)} of {len(paths)} images that '{name}' lists do "
            f"not exist, e.g. '{missing[0]}': give them, or another list"
        )


def copies(train: BaseDataset, val: BaseDataset) -> int:
    """How many validation files are training files, too.

    Looked at are at most 64, evenly spaced, which must have the same path
    below both folders, and the same content.

    Args:
        train (BaseDataset): Of mmpretrain's ``CustomDataset``, else none is.
        val (BaseDataset): The same.
    """
    if not (getattr(train, 'img_prefix', '') and getattr(val, 'img_prefix', '')):
        return 0
    number = 0
    for i in spread(len(val)):
        path = val.get_data_info(i)['img_path']
        other = os.path.join(train.img_prefix, os.path.relpath(path, val.img_prefix))
        number += (
            os.path.isfile(other)
            and os.path.isfile(path)
            and filecmp.cmp(path, other, shallow=False)
        )
    return number


def _root(dataset: BaseDataset) -> str:
    return (
        getattr(dataset, 'img_prefix', '')
        or getattr(dataset, 'data_root', '')
        or type(dataset).__name__
    )


def _classes(dataset: BaseDataset) -> list | None:
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if isinstance(dataset, LabelledPhotos) and dataset.ann_file:
        # named by its folders, which a list need not take for classes
        labels = _labels_by_folder(dataset)
        if not labels or len({*labels.values()}) < len(labels):
            return None
    return [*map(str, classes)] if classes else None


def _labels_by_folder(dataset: BaseDataset) -> dict[str, int]:
    """The label of each folder, if the images of each have but one."""
    if not getattr(dataset, 'img_prefix', ''):
        return {}
    if not dataset.ann_file:
        return {name: i for i, name in enumerate(_classes(dataset) or ())}
    found: dict[str, set[int]] = {}
    for i in range(0, len(dataset), max(1, -(-len(dataset) // LOOKED_AT))):
        info = dataset.get_data_info(i)
        path = os.path.relpath(info['img_path'], dataset.img_prefix)
        if os.sep in path:
            found.setdefault(path.split(os.sep)[0], set()).add(int(info['gt_label']))
    if any(len(labels) > 1 for labels in found.values()):
        return {}  # they are not classes
    return {name: min(labels) for name, labels in found.items()}

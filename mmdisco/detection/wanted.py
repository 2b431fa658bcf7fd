"""Classes and masks that a detector's config needs from annotation files."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config

from mmdisco.datasets.detection.verify import Wanted
from mmdisco.errors import InputError
from mmdisco.launch.overrides import datasets_of
from mmdisco.launch.student import classes_of

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def wanted_of(cfg: Config) -> Wanted:
    """Return what a detector's config needs from its annotation files.

    Args:
        cfg (Config): The config.

    Returns:
        Wanted: Its classes, and whether it trains on or evaluates masks.

    Raises:
        InputError: If it has no data set, or the data sets differ in classes.
    """
    named_classes = [
        (name, _classes(dataset))
        for name in _LOADERS
        for dataset in datasets_of(cfg.get(name))
    ]
    if not named_classes:
        raise InputError('the config has no detection data set')
    first_name, first_classes = named_classes[0]
    for name, classes in named_classes[1:]:
        if classes != first_classes:
            raise InputError(
                f'the classes of {first_name} and {name} differ: '
                f'{_difference(first_classes, classes)}: set metainfo.classes of '
                'both'
            )
    masks = any(
        node.get('with_mask') for node in dicts_in(cfg.get('train_dataloader'))
    ) or any(
        node.get('metric') == 'segm' or 'segm' in (node.get('metric') or ())
        for key in ('val_evaluator', 'test_evaluator')
        for node in dicts_in(cfg.get(key))
    )
    return Wanted(first_classes, masks)


def _classes(dataset: dict) -> tuple[str, ...]:
    classes = classes_of(dataset)
    if classes is None:
        classes = DATASETS.get(dataset['type']).METAINFO['classes']
    return tuple(classes)


def _difference(left: Sequence[str], right: Sequence[str]) -> str:
    for i, pair in enumerate(zip(left, right)):
        if pair[0] != pair[1]:
            return f"at {i} '{pair[0]}' and '{pair[1]}'"
    return f'{len(left)} and {len(right)}'


def dicts_in(node: Any) -> Iterator[dict]:
    """Yield all dicts in nested dicts and lists, including the node itself."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from dicts_in(child)

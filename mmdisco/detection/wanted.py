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
    """What a detector's config needs of its annotation files.

    Args:
        cfg (Config): The config.

    Returns:
        Wanted: Its classes, and whether it learns or measures masks.

    Raises:
        InputError: If it has no data set, or its data sets' classes differ.
    """
    found = [
        (name, _classes(dataset))
        for name in _LOADERS
        for dataset in datasets_of(cfg.get(name))
    ]
    if not found:
        raise InputError('the config has no data set of a detector')
    for name, classes in found[1:]:
        if classes != found[0][1]:
            raise InputError(
                f'the classes of {found[0][0]} and {name} differ: '
                f'{_differing(found[0][1], classes)}: set metainfo.classes of '
                'both'
            )
    masks = any(
        node.get('with_mask') for node in dicts_in(cfg.get('train_dataloader'))
    ) or any(
        node.get('metric') == 'segm' or 'segm' in (node.get('metric') or ())
        for key in ('val_evaluator', 'test_evaluator')
        for node in dicts_in(cfg.get(key))
    )
    return Wanted(found[0][1], masks)


def _classes(dataset: dict) -> tuple[str, ...]:
    classes = classes_of(dataset)
    if classes is None:
        classes = DATASETS.get(dataset['type']).METAINFO['classes']
    return tuple(classes)


def _differing(left: Sequence[str], right: Sequence[str]) -> str:
    for i, pair in enumerate(zip(left, right)):
        if pair[0] != pair[1]:
            return f"at {i} '{pair[0]}' and '{pair[1]}'"
    return f'{len(left)} and {len(right)}'


def dicts_in(node: Any) -> Iterator[dict]:
    """All dicts in nested dicts and lists, itself included."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from dicts_in(child)

"""Checks of a detector's data sets, heads and metrics before a run."""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence

from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.engine.hooks import PipelineSwitchHook
from mmdet.evaluation import CocoMetric
from mmdet.registry import HOOKS
from mmengine.dataset import BaseDataset
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook

from mmdisco.datasets.detection.verify import (
    Report,
    check_categories,
    check_content,
    similar,
)
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped

_HEAD = re.compile(r'(.*\.)?(bbox|mask)_head(\.\d+)?')


@HOOKS.register_module()
class DetectionDataCheckHook(Hook):
    """Stop a run if a detector's data would give wrong scores or none.

    Before training or testing it checks that

    - data sets and heads have the same number of classes, and all data sets the
      same class names;
    - at least one object is left for training, and one for evaluation;
    - COCO files list the categories in the order of the classes;
    - each ``CocoMetric`` has an annotation file of exactly the evaluated images,
      in a form that pycocotools can evaluate.

    A class without objects is a warning, or an error if the files have the same
    name in another case or with other spaces.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Check the training and validation data.

        Raises:
            InputError: If they can't be trained or evaluated on.
        """
        loops = [] if runner.val_loop is None else [runner.val_loop]
        self._on_main(runner, runner.train_dataloader.dataset, loops)

    def before_test(self, runner) -> None:
        """Check the test data.

        Raises:
            InputError: If they can't be evaluated on.
        """
        self._on_main(runner, None, [runner.test_loop])

    def _on_main(self, runner, train, loops: list) -> None:
        """Check on the main process; a fault stops all processes."""
        fault: list[str | None] = [None]
        if is_main_process():
            try:
                self._check(runner, train, loops)
            except InputError as error:
                fault = [str(error)]
        broadcast_object_list(fault)
        if fault[0]:
            raise InputError(fault[0])

    def _check(self, runner, train, loops: list) -> None:
        model = unwrapped(runner.model)
        sets = [
            ('test' if train is None else 'val', loop.dataloader.dataset)
            for loop in loops
        ]
        if train is not None:
            sets = [('train', train), *sets]
        for name, dataset in sets:
            classes = _classes(dataset)
            _check_heads(model, classes, name)
            for part in _parts(dataset):
                _same_classes(name, _classes(part), sets[0][0], _classes(sets[0][1]))
        if train is not None:
            _check_objects(runner, 'train', train)
        for name, loop in zip((name for name, _ in sets[-len(loops) :]), loops):
            if not all(
                getattr(metric, 'format_only', False)
                for metric in loop.evaluator.metrics
            ):
                _check_objects(runner, name, loop.dataloader.dataset)
        if train is not None:
            for part in _parts(train):
                _check_file(part)
            _check_switch(runner)
        for loop in loops:
            for metric in loop.evaluator.metrics:
                if isinstance(metric, CocoMetric) and not metric.format_only:
                    _check_metric(metric, loop.dataloader.dataset)


def _parts(dataset) -> Iterator[BaseDataset]:
    """Yield the base data sets inside wrappers that concatenate, repeat or mix."""
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from _parts(part)
    elif hasattr(dataset, 'dataset'):
        yield from _parts(dataset.dataset)
    else:
        yield dataset


def _classes(dataset) -> tuple:
    classes = dataset.metainfo.get('classes') or ()
    if isinstance(classes, str):
        raise InputError(
            f"metainfo.classes is the string '{classes}': write ('{classes}', )"
        )
    return tuple(classes)


def _same_classes(
    name: str, classes: tuple, other_name: str, other_classes: tuple
) -> None:
    if classes != other_classes:
        differing = (
            [c for c in classes if c not in other_classes]
            or [c for c in other_classes if c not in classes]
            or ['their order']
        )
        raise InputError(
            f'the data sets of {other_name} and {name} have different classes: '
            f'{len(other_classes)} and {len(classes)}, e.g. {differing[0]}: set '
            'metainfo.classes of both'
        )


def _check_heads(model, classes: tuple, name: str) -> None:
    for path, module in model.named_modules():
        number = getattr(module, 'num_classes', None)
        if (
            _HEAD.fullmatch(path)
            and isinstance(number, int)
            and (number != len(classes))
        ):
            raise InputError(
                f'model.{path} has num_classes={number}, but the data set of '
                f'{name} has {len(classes)} classes: set --cfg-options '
                f'model.{path}.num_classes={len(classes)}, or change '
                'metainfo.classes'
            )


def _check_objects(runner, name: str, dataset) -> None:
    """Require objects, and masks if the pipeline loads them."""
    classes = _classes(dataset)
    counts: Counter[int] = Counter()
    for part in _parts(dataset):
        masks = any(
            isinstance(step, LoadAnnotations) and step.with_mask
            for step in part.pipeline.transforms
        )
        for index in range(len(part)):
            info = part.get_data_info(index)
            for instance in info['instances']:
                if masks and 'mask' not in instance:
                    raise InputError(
                        f"'{info['img_path']}' has an object without a mask, "
                        f'but the pipeline of {name} loads masks: use a detector '
                        'without a mask head, or annotations with segmentations'
                    )
                if not instance['ignore_flag']:
                    counts[instance['bbox_label']] += 1
    absent = [c for label, c in enumerate(classes) if not counts[label]]
    if not absent:
        return
    in_files = {n for part in _parts(dataset) for n in _names_in_file(part) if n}
    unknown = sorted(in_files - {*classes})
    for label in absent:
        variant = similar(label, unknown)
        if variant:
            raise InputError(
                f"the {name} data have no object of the class '{label}', but "
                f"of '{variant}': set metainfo.classes to the names in the files"
            )
    if len(absent) == len(classes):
        raise InputError(
            f'the {name} data have no object of the classes '
            f'{_some(classes)}; the files have {_some(unknown)}: set '
            'metainfo.classes of each data set'
        )
    runner.logger.warning(
        f'DetectionDataCheckHook: the {name} data have no object of '
        f'{len(absent)} of {len(classes)} classes: {_some(absent)}'
    )


def _some(names: Sequence[str], most: int = 5) -> str:
    return (', '.join(map(repr, names[:most])) or 'none') + (
        ' ...' if len(names) > most else ''
    )


def _names_in_file(part: BaseDataset) -> list[str]:
    """Return all class names in the annotation files of a data set."""
    if isinstance(part, CocoDataset):
        return [c.get('name', '') for c in _content(part)['categories']]
    paths = (part.get_data_info(i).get('xml_path') for i in range(len(part)))
    return [
        entry.findtext('name', '')
        for path in paths
        if path
        for entry in ET.parse(path).getroot().findall('object')
    ]


def _check_switch(runner) -> None:
    """Warn if the pipeline is never switched, as for RTMDet's last epochs."""
    for hook in runner.hooks:
        if isinstance(hook, PipelineSwitchHook) and (
            hook.switch_epoch >= runner.max_epochs
        ):
            runner.logger.warning(
                f'{type(hook).__name__}: switch_epoch {hook.switch_epoch} is '
                f'never reached in {runner.max_epochs} epochs: the pipeline '
                'is not switched'
            )


def _content(part: CocoDataset) -> dict:
    with open(part.ann_file) as file:
        return json.load(file)


def _check_file(part: BaseDataset) -> None:
    """Check the order of the categories in a training file."""
    if isinstance(part, CocoDataset):
        report = Report()
        check_categories(
            report, f"'{part.ann_file}'", _content(part)['categories'], _classes(part)
        )
        _stop_at(report)


def _check_metric(metric: CocoMetric, dataset) -> None:
    if metric._coco_api is None:  # it evaluates on the data set's own objects
        return
    content, report = metric._coco_api.dataset, Report()
    paths = {getattr(part, 'ann_file', None) for part in _parts(dataset)}
    path = ' and '.join(f"'{path}'" for path in sorted(filter(None, paths)))
    check_categories(report, path, content['categories'], _classes(dataset))
    check_content(report, path, content, evaluated=True, masks='segm' in metric.metrics)
    ids = {
        part.get_data_info(i)['img_id']
        for part in _parts(dataset)
        for i in range(len(part))
    }
    if ids != {*metric._coco_api.imgs}:
        report.faults.append(
            f'the ann_file of CocoMetric has {len(metric._coco_api.imgs)} images, '
            f'{len(ids & {*metric._coco_api.imgs})} of them among the '
            f'{len(ids)} of {path}: give both the same ann_file, and remove '
            "the data set's indices"
        )
    _stop_at(report)


def _stop_at(report: Report) -> None:
    if report.faults:
        more = len(report.faults) - 1
        raise InputError(
            report.faults[0]
            + (
                f'; and {more} more faults: tools/prepare_coco.py lists them'
                if more
                else ''
            )
        )

"""Test a detector by COCO's definition and keep some detections."""

import math
from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdisco.checkpoints import check_complete
from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch.checks import several
from ..data_check_hook import DetectionDataCheckHook
from ..wanted import dicts_in

# mmdet's names of the twelve entries of COCOeval.stats. They assume mmdet's
# default of 100, 300 and 1000 boxes; with COCO's 1, 10 and 100, the entries named
# 1000 hold the recall at 100.
ITEMS = {
    'mAP': 'AP',
    'mAP_50': 'AP50',
    'mAP_75': 'AP75',
    'mAP_s': 'AP_small',
    'mAP_m': 'AP_medium',
    'mAP_l': 'AP_large',
    'AR@1000': 'AR',
    'AR_s@1000': 'AR_small',
    'AR_m@1000': 'AR_medium',
    'AR_l@1000': 'AR_large',
}


def measure_by_coco(cfg: Config) -> None:
    """Set a config's test metrics to COCO's, by class and size.

    A ``ClassAPMetric`` for boxes, and one for masks if the config evaluates
    them, replaces the config's ``CocoMetric``; other metrics stay. Without an
    annotation file, as for data sets in VOC's format, the ground truth is that
    of the data set: sizes are then box areas, and VOC's difficult objects are
    COCO's crowd regions.

    Args:
        cfg (Config): The config of a detector, changed in place.

    Raises:
        InputError: If it has no test set, or none for detection.
    """
    if cfg.get('test_dataloader') is None:
        raise InputError(
            'the config has no test_dataloader: pass the config of a detector'
        )
    packs = [
        step
        for step in dicts_in(cfg.test_dataloader.dataset)
        if _name(step) == 'PackDetInputs'
    ]
    if not packs:
        raise InputError(
            'the test pipeline has no PackDetInputs: pass the config of a detector'
        )
    for pack in packs:
        keys = pack.get('meta_keys', PackDetInputs().meta_keys)
        pack['meta_keys'] = tuple(
            dict.fromkeys([*keys, 'img_id', 'img_path', 'ori_shape', 'instances'])
        )
    metrics = several(cfg.get('test_evaluator'))
    coco = [m for m in metrics if _name(m) in ('CocoMetric', 'ClassAPMetric')]
    kinds = [k for m in coco for k in several(m.get('metric', 'bbox'))]
    cfg.test_evaluator = [m for m in metrics if m not in coco] + [
        dict(
            type='mmdet.ClassAPMetric',
            metric=kind,
            classwise=True,
            prefix=kind,
            ann_file=next((m.get('ann_file') for m in coco), None),
            proposal_nums=(1, 10, 100),
            metric_items=list(ITEMS),
        )
        for kind in ('bbox', 'segm')
        if kind == 'bbox' or kind in kinds
    ]


def _name(node: dict) -> str:
    """Return the class name of a config dict, without its scope."""
    kind = node.get('type')
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def scores_of(metrics: dict[str, float], classes: Sequence[str]) -> dict:
    """Group the scores of a test prepared by :func:`measure_by_coco`.

    Args:
        metrics (dict[str, float]): Scores by ``<prefix>/<name>``.
        classes (Sequence[str]): Class names in the order of the labels.

    Returns:
        dict: For ``bbox`` and, if measured, ``segm``: AP and AR in [0, 1], None
        where the set has no object of that size, and ``per_class``, AP by name;
        under ``other`` the scores of the config's other metrics.

    Raises:
        InputError: If no image has a detection.
    """
    report: dict[str, dict] = {}
    for kind in ('bbox', 'segm'):
        scores = {
            key.split('/', 1)[1]: value
            for key, value in metrics.items()
            if key.startswith(f'{kind}/')
        }
        if scores:
            report[kind] = {
                name: _number(scores[f'{kind}_{item}']) for item, name in ITEMS.items()
            }
            report[kind]['per_class'] = {
                name: _number(scores[f'{name}_precision']) for name in classes
            }
    if not report:
        raise InputError(
            'no image has a detection: is this the checkpoint of a trained detector?'
        )
    report['other'] = {
        key: None if math.isnan(value) else float(value)
        for key, value in metrics.items()
        if key.split('/')[0] not in report
    }
    return report


def _number(value: float) -> float | None:
    """Return None for pycocotools' -1 and mmdet's nan: no such object."""
    return None if math.isnan(value) or value < 0 else float(value)


class KeepDetections(Hook):
    """Keep the detections in a few images of a test.

    Args:
        img_ids (Container): Ids of the images.
    """

    def __init__(self, img_ids: Container) -> None:
        self.img_ids = img_ids
        self.samples: dict[object, DetDataSample] = {}

    def after_test_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Keep the outputs of the selected images."""
        self.samples.update(
            {
                sample.img_id: sample.cpu()
                for sample in outputs or ()
                if sample.img_id in self.img_ids
            }
        )


class Tested(NamedTuple):
    """Results of a test."""

    metrics: dict[str, float]
    dataset: BaseDataset
    chosen: list[int]  # indices of images, evenly spaced over the set
    samples: list[DetDataSample]  # their detections, in pixels of the original image


def run_test(cfg: Config, checkpoint: str, num: int) -> Tested:
    """Test a detector, and keep its detections in a few images.

    Args:
        cfg (Config): The config, with its metrics and ``work_dir``.
        checkpoint (str): Checkpoint of the whole detector.
        num (int): Maximum number of images to keep.

    Returns:
        Tested: Scores, and the detections in the selected images.

    Raises:
        InputError: If the checkpoint is of another detector, or the test set is
            empty.
        MissingFileError: If a file of the test set is missing.
    """
    try:
        return _run(cfg, checkpoint, num)
    except FileNotFoundError as error:
        # a worker of the loader prepends a traceback and the class
        line = str(error).strip().split('\n')[-1]
        raise MissingFileError(
            'a file of the test set is missing: '
            f'{line.removeprefix("FileNotFoundError: ")}: add it, or '
            'specify the folder: --cfg-options data_root=FOLDER'
        ) from error


def _run(cfg: Config, checkpoint: str, num: int) -> Tested:
    # the runner loads it for the hooks; a resumed run's config has resume=True
    cfg.load_from, cfg.resume = checkpoint, False
    runner = Runner.from_cfg(cfg)
    dataset = runner.test_loop.dataloader.dataset
    if not len(dataset):
        raise InputError('the test set is empty')
    check_complete(runner, checkpoint)
    spaced = np.linspace(0, len(dataset) - 1, min(num, len(dataset)))
    chosen = [int(index) for index in spaced.round()]
    ids = [dataset.get_data_info(index)['img_id'] for index in chosen]
    keep = KeepDetections(ids)
    runner.register_hook(keep)
    if not any(isinstance(hook, DetectionDataCheckHook) for hook in runner.hooks):
        runner.register_hook(DetectionDataCheckHook())
    metrics = runner.test()
    return Tested(metrics, dataset, chosen, [keep.samples[i] for i in ids])

import math
from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import numpy as np
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdisco.checkpoints import check_complete
from mmdisco.errors import InputError, MissingFileError
from ..data_check_hook import DetectionDataCheckHook
from ..wanted import dicts_in

# mmdet's names of the twelve places of COCOeval.stats. They are for its
# default of 100, 300 and 1000 boxes; with COCO's 1, 10 and 100 the places of
# 1000 hold the recall of 100.
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
    """Have a config's test measure by COCO's definition, by class and size.

    One ``ClassAPMetric`` each for boxes and, where the config measures them,
    masks takes the place of its own; its other metrics stay. Where it names
    no annotation file, as for sets of VOC's format, the ground truth is that
    of the data set: sizes are then those of boxes, and what the set calls
    difficult is a crowd region to COCO.

    Args:
        cfg (Config): Of a detector, changed in place.

    Raises:
        InputError: If it has no test set or that is not of a detector.
    """
    if cfg.get('test_dataloader') is None:
        raise InputError(
            'the config has no test_dataloader: name the config of a detector'
        )
    packs = [
        step
        for step in dicts_in(cfg.test_dataloader.dataset)
        if _name(step) == 'PackDetInputs'
    ]
    if not packs:
        raise InputError(
            'the test pipeline has no PackDetInputs: name the config of a detector'
        )
    for pack in packs:
        keys = pack.get('meta_keys', PackDetInputs().meta_keys)
        pack['meta_keys'] = tuple(
            dict.fromkeys([*keys, 'img_id', 'img_path', 'ori_shape', 'instances'])
        )
    metrics = _list(cfg.get('test_evaluator'))
    own = [
        metric for metric in metrics if _name(metric) in ('CocoMetric', 'ClassAPMetric')
    ]
    kinds = [k for m in own for k in _list(m.get('metric', 'bbox'))]
    cfg.test_evaluator = [m for m in metrics if m not in own] + [
        dict(
            type='mmdet.ClassAPMetric',
            metric=kind,
            classwise=True,
            prefix=kind,
            ann_file=next((m.get('ann_file') for m in own), None),
            proposal_nums=(1, 10, 100),
            metric_items=list(ITEMS),
        )
        for kind in ('bbox', 'segm')
        if kind == 'bbox' or kind in kinds
    ]


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _name(node: dict) -> str:
    """Class that a config dict is for, whatever way it is written."""
    kind = node.get('type')
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def scores_of(metrics: dict[str, float], classes: Sequence[str]) -> dict:
    """Put in order what the metrics of :func:`measure_by_coco` gave.

    Args:
        metrics (dict): Of the test, by ``<prefix>/<name>``.
        classes: Names in the order of the labels.

    Returns:
        dict: For ``bbox`` and, if measured, ``segm``: AP and AR from 0 to 1,
        None where no object is of that size, and ``per_class``, AP by name;
        under ``other`` what the config's other metrics gave.

    Raises:
        InputError: If nothing was detected in any image.
    """
    report: dict[str, Any] = {}
    for kind in ('bbox', 'segm'):
        own = {
            key.split('/', 1)[1]: value
            for key, value in metrics.items()
            if key.startswith(f'{kind}/')
        }
        if own:
            report[kind] = {
                name: _number(own[f'{kind}_{item}']) for item, name in ITEMS.items()
            }
            report[kind]['per_class'] = {
                name: _number(own[f'{name}_precision']) for name in classes
            }
    if not report:
        raise InputError(
            'the detector found nothing in any image: is the '
            'checkpoint of a trained detector?'
        )
    report['other'] = {
        key: None if math.isnan(value) else float(value)
        for key, value in metrics.items()
        if key.split('/')[0] not in report
    }
    return report


def _number(value: float) -> float | None:
    """pycocotools' -1, and mmdet's nan, say that there is no such object."""
    return None if math.isnan(value) or value < 0 else float(value)


class KeepDetections(Hook):
    """Keep what was found in a few images of a test.

    Args:
        img_ids: Of the images.
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
        """Take from a batch's outputs those that are wanted."""
        self.samples.update(
            {
                sample.img_id: sample.cpu()
                for sample in outputs or ()
                if sample.img_id in self.img_ids
            }
        )


class Tested(NamedTuple):
    """What a test gave."""

    metrics: dict[str, float]
    dataset: BaseDataset
    chosen: list[int]  # indices of images, evenly spaced over the set
    samples: list[DetDataSample]  # of these, in the original image's pixels


def run_test(cfg: Config, checkpoint: str, num: int) -> Tested:
    """Test a detector once, and keep its detections in a few images.

    Args:
        cfg (Config): With the metrics wanted, and a ``work_dir``.
        checkpoint (str): File of all the detector's weights.
        num (int): How many images to keep, at most.

    Raises:
        InputError: If the checkpoint is not of this detector, or the set has
            no images.
        MissingFileError: If a file of the test set is missing.
    """
    try:
        return _run(cfg, checkpoint, num)
    except FileNotFoundError as error:
        # a worker of the loader prepends a traceback and the class
        line = str(error).strip().split('\n')[-1]
        raise MissingFileError(
            'a file of the test set is missing: '
            f'{line.removeprefix("FileNotFoundError: ")}: put it there, or '
            'name its folder: --cfg-options data_root=FOLDER'
        ) from error


def _run(cfg: Config, checkpoint: str, num: int) -> Tested:
    # hooks may have to see it loaded; the config of a resumed run says resume
    cfg.load_from, cfg.resume = checkpoint, False
    runner = Runner.from_cfg(cfg)
    dataset = runner.test_loop.dataloader.dataset
    if not len(dataset):
        raise InputError('the test set has no images')
    check_complete(runner, checkpoint)
    spread = np.linspace(0, len(dataset) - 1, min(num, len(dataset)))
    chosen = [int(index) for index in spread.round()]
    ids = [dataset.get_data_info(index)['img_id'] for index in chosen]
    keep = KeepDetections(ids)
    runner.register_hook(keep)
    if not any(isinstance(hook, DetectionDataCheckHook) for hook in runner.hooks):
        runner.register_hook(DetectionDataCheckHook())
    metrics = runner.test()
    return Tested(metrics, dataset, chosen, [keep.samples[i] for i in ids])

from typing import Any

from mmdet.datasets.transforms import PackDetInputs
from mmengine.config import Config

from mmdisco.detection.wanted import dicts_in
from mmdisco.errors import InputError

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

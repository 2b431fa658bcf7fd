from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric, VOCMetric, eval_map
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

IOUS = [percent / 100 for percent in range(50, 100, 5)]


@METRICS.register_module()
class VOCAPMetric(VOCMetric):
    """AP, AP50 and AP75 by Pascal VOC's definition of average precision.

    What detectron2's PascalVOCDetectionEvaluator reports, and hence MoCo's
    and DisCo's tables: VOC's matching and interpolation at each IoU of 0.5,
    0.55 ... 0.95, where mAP is the mean over the ten. The boxes are matched
    by mmdet's ``eval_map``; unlike mmdet's :class:`VOCMetric` the log has one
    table, that of IoU 0.5, in place of ten, with the set's own classes, and
    nothing is rounded.

    See `The PASCAL VOC Challenge <https://doi.org/10.1007/s11263-009-0275-4>`_
    and `MoCo <https://arxiv.org/abs/1911.05722>`_.

    Args:
        eval_mode: ``'11points'``, of VOC2007, or ``'area'``, under the
            precision-recall curve, of VOC2010 and later.
        collect_device: ``'cpu'`` or ``'gpu'``, where the processes' results
            are gathered.
        prefix: Of the metrics' names. Defaults to ``'pascal_voc'``.
    """

    def __init__(
        self,
        eval_mode: str = '11points',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            iou_thrs=IOUS,
            eval_mode=eval_mode,
            collect_device=collect_device,
            prefix=prefix,
        )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the scores of the whole set.

        Args:
            results: For each image its annotations and its detections.

        Returns:
            ``mAP``, ``AP50`` and ``AP75``, each from 0 to 1.
        """
        annotations, detections = zip(*results)
        logger = MMLogger.get_current_instance()
        means = [
            eval_map(
                detections,
                annotations,
                iou_thr=iou,
                dataset=self.dataset_meta['classes'],
                logger=logger if iou == IOUS[0] else 'silent',
                use_legacy_coordinate=True,
                eval_mode=self.eval_mode,
            )[0]
            for iou in IOUS
        ]
        return dict(
            mAP=float(np.mean(means)),
            AP50=means[IOUS.index(0.5)],
            AP75=means[IOUS.index(0.75)],
        )


@METRICS.register_module()
class ClassAPMetric(CocoMetric):
    """``CocoMetric`` whose AP of each class stands beside its own name.

    pycocotools evaluates categories by ascending id; mmdet's table of classes
    names them in the order of the annotation file. Where the two orders
    differ, each name has another class's AP.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the scores, labels being in the order of the file."""
        self.cat_ids: list | None = None
        return super().compute_metrics(results)

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict:
        """Write detections, after which categories are only looked up."""
        files = super().results2json(results, outfile_prefix)
        ids: Any = self.cat_ids
        self.cat_ids = sorted(ids)
        return files

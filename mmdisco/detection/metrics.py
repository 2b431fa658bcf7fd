"""Average precision as Pascal VOC and COCO define it."""

from collections.abc import Sequence

import numpy as np
from mmdet.evaluation import CocoMetric, VOCMetric, eval_map
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

IOUS = [percent / 100 for percent in range(50, 100, 5)]


@METRICS.register_module()
class VOCAPMetric(VOCMetric):
    """AP, AP50 and AP75 by Pascal VOC's definition of average precision.

    These are the scores of detectron2's PascalVOCDetectionEvaluator, hence of
    MoCo's and DisCo's tables: VOC's matching and interpolation at each IoU of
    0.5, 0.55 ... 0.95; mAP is the mean over the ten. mmdet's ``eval_map``
    matches the boxes. In contrast to mmdet's :class:`VOCMetric`, the log has one
    table, for IoU 0.5, with the data set's own classes, and scores are not
    rounded.

    See `The PASCAL VOC Challenge <https://doi.org/10.1007/s11263-009-0275-4>`_
    and `MoCo <https://arxiv.org/abs/1911.05722>`_.

    Args:
        eval_mode (str): '11points', as VOC2007, or 'area' under the
            precision-recall curve, as VOC2010 and later. Defaults to '11points'.
        collect_device (str): Device on which the results of all processes are
            gathered, 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Prefix of the metrics' names. Defaults to None,
            which stands for 'pascal_voc'.
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
        """Compute the scores of the data set.

        Args:
            results (list): Annotations and detections of each image.

        Returns:
            dict[str, float]: ``mAP``, ``AP50`` and ``AP75``, each in [0, 1].
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
    """``CocoMetric`` with the correct name for each class's AP.

    pycocotools evaluates categories by ascending id, but mmdet's per-class table
    names them in the order of the annotation file. Where the two orders differ,
    mmdet shows an AP under another class's name.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the scores with labels in the order of the annotation file."""
        self.cat_ids: list[int] | None = None
        return super().compute_metrics(results)

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict:
        """Write the detections, then sort the categories for the table."""
        files = super().results2json(results, outfile_prefix)
        self.cat_ids = sorted(self.cat_ids or ())
        return files

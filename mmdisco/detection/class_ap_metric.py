from collections.abc import Sequence

from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS


@METRICS.register_module()
class ClassAPMetric(CocoMetric):
    """``CocoMetric`` whose AP of each class stands beside its own name.

    pycocotools evaluates categories by ascending id; mmdet's table of classes
    names them in the order of the annotation file. Where the two orders
    differ, each name has another class's AP.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the scores, labels being in the order of the file."""
        self.cat_ids = None
        return super().compute_metrics(results)

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict:
        """Write detections, after which categories are only looked up."""
        files = super().results2json(results, outfile_prefix)
        self.cat_ids = sorted(self.cat_ids)
        return files

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LearnDifficult(BaseTransform):
    """Has the objects that VOC calls difficult learned as all others.

    As detectron2 does, and hence MoCo and DisCo. mmdet's detectors take them
    for background (``ignore_iof_thr=-1``). Put it behind ``LoadAnnotations``.
    """

    def transform(self, results: dict) -> dict:
        """No object is to be ignored."""
        results['gt_ignore_flags'] = np.zeros_like(results['gt_ignore_flags'])
        return results

"""Training schedule and labels of detectors, where mmdet's do not suit."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.engine.hooks import PipelineSwitchHook
from mmdet.registry import HOOKS, TRANSFORMS


@HOOKS.register_module()
class ConcatPipelineSwitchHook(PipelineSwitchHook):
    """``PipelineSwitchHook`` for a concatenation of data sets.

    mmdet's hook sets the pipeline of the outer data set, which a
    ``ConcatDataset`` does not use: RTMDet would silently keep its mosaics to the
    end. The arguments are ``switch_epoch`` and ``switch_pipeline``.
    """

    def before_train_epoch(self, runner) -> None:
        """Switch the pipeline of every data set, once."""
        before = self._has_switched
        super().before_train_epoch(runner)
        if self._has_switched and not before:
            concat = runner.train_dataloader.dataset
            for part in concat.datasets:
                part.pipeline = concat.pipeline


@TRANSFORMS.register_module()
class LearnDifficult(BaseTransform):
    """Train on VOC's difficult objects as on all others.

    detectron2 does so, hence MoCo and DisCo. mmdet's detectors treat them as
    background (``ignore_iof_thr=-1``). Place it after ``LoadAnnotations``.
    """

    def transform(self, results: dict) -> dict:
        """Clear the ignore flag of every object."""
        results['gt_ignore_flags'] = np.zeros_like(results['gt_ignore_flags'])
        return results

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.engine.hooks import PipelineSwitchHook
from mmdet.registry import HOOKS, TRANSFORMS


@HOOKS.register_module()
class ConcatPipelineSwitchHook(PipelineSwitchHook):
    """``PipelineSwitchHook`` for a data set that is put together of several.

    mmdet's changes the outer one's pipeline, which a ``ConcatDataset`` does
    not have: RTMDet would keep its mosaics to the end, with no message. Its
    arguments are ``switch_epoch`` and ``switch_pipeline``.
    """

    def before_train_epoch(self, runner) -> None:
        """Change the pipeline of each part, once."""
        before = self._has_switched
        super().before_train_epoch(runner)
        if self._has_switched and not before:
            whole = runner.train_dataloader.dataset
            for part in whole.datasets:
                part.pipeline = whole.pipeline


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

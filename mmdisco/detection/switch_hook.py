from mmdet.engine.hooks import PipelineSwitchHook
from mmdet.registry import HOOKS


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

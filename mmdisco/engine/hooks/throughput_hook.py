from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmdisco.launch.loaders import batch_size_of


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Logs ``images_per_s``, images per second of all ranks.

    It comes from the time that mmengine's ``IterTimerHook`` measures, over
    the iterations since the last multiple of ``window``; without that hook
    there is none.

    Args:
        window (int): Iterations. Defaults to 100.
    """

    priority = 'NORMAL'  # after the timer, before the logger

    def __init__(self, window: int = 100) -> None:
        self.window = window
        self.images = 0
        self.seconds = 0.0

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Update the value of the log."""
        hub = runner.message_hub
        if 'train/time' not in hub.log_scalars:
            return
        self.seconds += hub.get_scalar('train/time').current()
        self.images += batch_size_of(runner.train_dataloader) * runner.world_size
        hub.update_scalar('train/images_per_s', self.images / max(self.seconds, 1e-9))
        if self.every_n_train_iters(runner, self.window):
            self.images, self.seconds = 0, 0.0

import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Logs images per second of all ranks, and the share of waiting for data.

    Both come from the times that mmengine's ``IterTimerHook`` measures.
    ``data_wait`` is in per cent: well above 20, the loader starves the device.
    Workers deliver in bursts, so both are totals over the iterations since
    the last multiple of ``window``.

    Args:
        window (int): Iterations. Defaults to 100.
    """
    priority = 'NORMAL'  # after the timer, before the logger

    def __init__(self, window: int = 100) -> None:
        self.window = window
        self.total = torch.zeros(3, dtype=torch.float64)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Update the two values of the log."""
        hub = runner.message_hub
        seconds = hub.get_scalar('train/time').current()
        waiting = hub.get_scalar('train/data_time').current()
        images = runner.train_dataloader.batch_size * runner.world_size
        self.total += torch.tensor([images, seconds, waiting])
        images, seconds, waiting = self.total.tolist()
        hub.update_scalar('train/images_per_s', images / max(seconds, 1e-9))
        hub.update_scalar('train/data_wait',
                          100 * waiting / max(seconds, 1e-9))
        if self.every_n_train_iters(runner, self.window):
            self.total.zero_()

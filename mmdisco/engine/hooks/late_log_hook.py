import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class LateLogHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook``, which reads losses when they are logged.

    The other reads them at each iteration, and so waits for the GPU each time.
    What is logged stays the same.
    """

    def before_train(self, runner) -> None:
        """Find out how often the log is written."""
        super().before_train(runner)
        self._intervals = [
            hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)
        ]
        self._unread: list[dict] = []

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Keep the outputs; read them before the log is written."""
        self._unread.append(
            {  # else each would hold on to its graph
                key: value.detach() if torch.is_tensor(value) else value
                for key, value in (outputs or {}).items()
            }
        )
        if not (
            any(
                self.every_n_inner_iters(batch_idx, n)
                or self.every_n_train_iters(runner, n)
                for n in self._intervals
            )
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
            or self.is_last_train_iter(runner)
        ):
            return
        for values in self._unread:
            super().after_train_iter(runner, batch_idx, data_batch, values)
        self._unread.clear()

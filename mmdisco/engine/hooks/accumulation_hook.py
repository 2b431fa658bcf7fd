import torch
from mmengine.dist import all_reduce
from mmengine.hooks import CheckpointHook, Hook
from mmpretrain.registry import HOOKS
from torch import Tensor

from mmdisco.utils import unwrapped

_KEY = 'accumulated_gradients'


@HOOKS.register_module()
class AccumulationHook(Hook):
    """Keeps accumulated gradients in checkpoints between optimizer steps.

    With ``optim_wrapper.accumulative_counts=k`` the number of batches in an
    epoch need not be a multiple of k. mmengine drops the gradients of the
    batches since the last step, so that the first step after a resume is too
    short. ``tools/train.py`` registers it for every config.
    """

    # before CheckpointHook
    priority = 'LOW'

    def __init__(self) -> None:
        self._count: int | None = None  # of batches, when it was gathered
        self._gathered: dict[str, Tensor] = {}
        self._saved: dict | None = None

    def after_train_epoch(self, runner) -> None:
        """Gather while all ranks are here."""
        self._gather(runner)

    def before_val_epoch(self, runner) -> None:
        """Gather for the best checkpoint."""
        if runner._train_loop is not None and hasattr(
            runner.optim_wrapper, '_inner_count'
        ):
            self._gather(runner)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Gather where a checkpoint is written by iterations."""
        if any(
            isinstance(hook, CheckpointHook)
            and not hook.by_epoch
            and hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            for hook in runner.hooks
        ):
            self._gather(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Put the gradients in; only the rank that writes comes here."""
        wrapper = runner.optim_wrapper
        if self._gathered and self._count == wrapper._inner_count:
            checkpoint[_KEY] = dict(
                count=self._count % wrapper._accumulative_counts,
                of=wrapper._accumulative_counts,
                gradients=self._gathered,
            )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take them out, if this run is a resumed one."""
        if runner._resume:
            self._saved = checkpoint.get(_KEY)

    def before_train(self, runner) -> None:
        """Go on between two steps, or begin to accumulate anew."""
        wrapper, saved = runner.optim_wrapper, self._saved
        counts = wrapper._accumulative_counts
        count, self._saved = wrapper._inner_count % counts, None
        if not count:
            return
        if saved and (saved['count'], saved['of']) == (count, counts):
            for name, parameter in unwrapped(runner.model).named_parameters():
                if name in saved['gradients']:
                    parameter.grad = torch.empty_like(parameter).copy_(
                        saved['gradients'][name]
                    )
            runner.logger.info(
                f'The gradients of {count} of {counts} accumulated batches are taken up'
            )
            return
        wrapper._max_counts -= wrapper._inner_count
        wrapper._remainder_counts = wrapper._max_counts % counts
        wrapper._inner_count = 0
        runner.logger.warning(
            f'The checkpoint does not have the gradients of {count} of '
            f'{counts} accumulated batches: they are left out, and '
            'accumulation begins anew'
        )

    def _gather(self, runner) -> None:
        """Mean over ranks, which is what DDP makes of the whole in the end."""
        wrapper = runner.optim_wrapper
        self._gathered = {}
        if (
            wrapper._inner_count % wrapper._accumulative_counts == 0
            or wrapper._inner_count == wrapper._max_counts
        ):
            return
        self._count = wrapper._inner_count
        for name, parameter in unwrapped(runner.model).named_parameters():
            if parameter.requires_grad:
                grad = (
                    torch.zeros_like(parameter)
                    if parameter.grad is None
                    else parameter.grad.detach().clone()
                )
                all_reduce(grad, 'mean')
                self._gathered[name] = grad.cpu()

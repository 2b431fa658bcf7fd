"""Gradients before the optimizer's step: accumulation, clipping, freezing."""

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from mmdisco.errors import InputError
from mmdisco.utils import unwrapped

_KEY = 'accumulated_gradients'


@HOOKS.register_module()
class AccumulationHook(Hook):
    """Save accumulated gradients in checkpoints between optimizer steps.

    With ``optim_wrapper.accumulative_counts=k`` the number of batches in an
    epoch need not be a multiple of k. mmengine drops the gradients since the
    last step, so that the first step after a resume is too small.
    ``tools/train.py`` registers this hook for every config.
    """

    # before CheckpointHook
    priority = 'LOW'

    def __init__(self) -> None:
        self._count = 0  # batches done when the gradients were gathered
        self._gathered: dict[str, Tensor] = {}
        self._saved: dict | None = None

    def after_train_epoch(self, runner) -> None:
        """Gather the gradients; all ranks call this."""
        self._gather(runner)

    def before_val_epoch(self, runner) -> None:
        """Gather the gradients for the best checkpoint."""
        if runner._train_loop is not None and hasattr(
            runner.optim_wrapper, '_inner_count'
        ):
            self._gather(runner)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Gather the gradients before an iteration-based checkpoint."""
        if any(
            isinstance(hook, CheckpointHook)
            and not hook.by_epoch
            and hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            for hook in runner.hooks
        ):
            self._gather(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the gradients; only the writing rank calls this."""
        wrapper = runner.optim_wrapper
        if self._gathered and self._count == wrapper._inner_count:
            checkpoint[_KEY] = dict(
                count=self._count % wrapper._accumulative_counts,
                of=wrapper._accumulative_counts,
                gradients=self._gathered,
            )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take the gradients if the run is resumed."""
        if runner._resume:
            self._saved = checkpoint.get(_KEY)

    def before_train(self, runner) -> None:
        """Continue the accumulation, or restart it if gradients are missing."""
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
                f'Gradients of {count} of {counts} accumulated batches are resumed'
            )
            return
        wrapper._max_counts -= wrapper._inner_count
        wrapper._remainder_counts = wrapper._max_counts % counts
        wrapper._inner_count = 0
        runner.logger.warning(
            f'The checkpoint does not have the gradients of {count} of '
            f'{counts} accumulated batches: they are skipped, and '
            'accumulation restarts'
        )

    def _gather(self, runner) -> None:
        """Average the gradients over ranks, as DDP does at the step."""
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


@HOOKS.register_module()
class ClipGradHook(Hook):
    """Clip the gradient of each parameter by its own norm.

    As in `DINO <https://arxiv.org/abs/2104.14294>`_; mmengine's ``clip_grad``
    uses the norm over all parameters.

    Args:
        max_norm (float): Maximum norm of a parameter's gradient. Defaults to 3.
    """

    def __init__(self, max_norm: float = 3.0) -> None:
        self.max_norm = max_norm

    def before_train(self, runner) -> None:
        """Register the hook on the optimizer."""
        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(self._clip)

    def after_train(self, runner) -> None:
        """Remove the hook from the optimizer."""
        self._handle.remove()

    @torch.no_grad()
    def _clip(self, optimizer, *_) -> None:
        grads = [
            p.grad
            for group in optimizer.param_groups
            for p in group['params']
            if p.grad is not None
        ]
        if not grads:
            return
        # under fp16, a fused optimizer divides by the scale in its step
        scale = getattr(optimizer, 'grad_scale', None)
        max_norm = self.max_norm * (1.0 if scale is None else scale)
        factors = [
            (max_norm / (norm + 1e-6)).clamp(max=1)
            for norm in torch._foreach_norm(grads)
        ]
        torch._foreach_mul_(grads, factors)


@HOOKS.register_module()
class FreezeGradHook(Hook):
    """Freeze some parameters at the beginning of training.

    Their gradients are dropped right before the optimizer's step, as `SwAV
    <https://arxiv.org/abs/2006.09882>`_ does for its prototypes and `DINO
    <https://arxiv.org/abs/2104.14294>`_ for its last layer, so that neither
    weight decay nor momentum moves them. Setting ``requires_grad`` instead would
    break DistributedDataParallel, which expects their gradients.

    Args:
        name (str): Part of the parameters' names.
        iters (int): Frozen iterations; with accumulated gradients several make a
            step. Defaults to 0.
        epochs (int): Frozen epochs. Defaults to 0.
    """

    def __init__(self, name: str, iters: int = 0, epochs: int = 0) -> None:
        self.name = name
        self.iters, self.epochs = iters, epochs

    def before_train(self, runner) -> None:
        """Select the parameters and register the hook on the optimizer.

        Raises:
            InputError: If no parameter matches, or ``epochs`` is set in an
                iteration-based loop.
        """
        if self.epochs and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise InputError(
                f'FreezeGradHook(epochs={self.epochs}): the training loop '
                'counts iterations, not epochs: set iters'
            )
        model = unwrapped(runner.model)
        frozen: list[nn.Parameter] = [
            p for name, p in model.named_parameters() if self.name in name
        ]
        if not frozen:
            raise InputError(
                f"FreezeGradHook: no parameter has '{self.name}' in its name"
            )

        def drop(*_) -> None:
            if runner.iter < self.iters or runner.epoch < self.epochs:
                for parameter in frozen:
                    parameter.grad = None

        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(drop)

    def after_train(self, runner) -> None:
        """Remove the hook from the optimizer."""
        self._handle.remove()


@HOOKS.register_module()
class OptimizerLayoutHook(Hook):
    """Adapt a resumed optimizer to this run's --speed.

    A checkpoint holds momentum in the memory layout of its weights, and the
    optimizer's ``fused``. torch's fused kernels iterate over memory: with
    another layout they silently pair momentum with the wrong weights.
    """

    def before_train(self, runner) -> None:
        """Set the memory layout of the states and the optimizer's ``fused``."""
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        if optimizer is None:
            return
        for group in optimizer.param_groups:
            for flag in {'fused', 'foreach'} & group.keys():
                group[flag] = optimizer.defaults[flag]
        for param, state in optimizer.state.items():
            for name, value in state.items():
                if (
                    torch.is_tensor(value)
                    and value.shape == param.shape
                    and (value.stride() != param.stride())
                ):
                    state[name] = torch.empty_like(param).copy_(value)

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


@HOOKS.register_module()
class ClipGradHook(Hook):
    """Clips the gradient of each parameter by its own norm.

    So does `DINO <https://arxiv.org/abs/2104.14294>`_; mmengine's
    ``clip_grad`` takes the norm of all parameters together.

    Args:
        max_norm (float): Longest gradient of a parameter. Defaults to 3.
    """

    def __init__(self, max_norm: float = 3.0) -> None:
        self.max_norm = max_norm

    def before_train(self, runner) -> None:
        """From now on each step of the optimizer passes here first."""
        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(self._clip)

    def after_train(self, runner) -> None:
        """Let go of the optimizer."""
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
        # a fused optimizer under fp16 divides by the scale in its step
        scale = getattr(optimizer, 'grad_scale', None)
        longest = self.max_norm * (1.0 if scale is None else scale)
        factors = [
            (longest / (norm + 1e-6)).clamp(max=1)
            for norm in torch._foreach_norm(grads)
        ]
        torch._foreach_mul_(grads, factors)


@HOOKS.register_module()
class FreezeGradHook(Hook):
    """Leaves some parameters as they are in the first part of a training.

    Their gradient is dropped right before the optimizer's step, as `SwAV
    <https://arxiv.org/abs/2006.09882>`_ does to its prototypes and `DINO
    <https://arxiv.org/abs/2104.14294>`_ to its last layer: so neither
    weight decay nor momentum moves them. Setting ``requires_grad`` instead
    would break DistributedDataParallel, which counts on their gradients.

    Args:
        name (str): Part of the names of these parameters.
        iters (int): Iterations for which they are left; with accumulated
            gradients several make a step. Defaults to 0.
        epochs (int): Epochs for which they are left. Defaults to 0.
    """

    def __init__(self, name: str, iters: int = 0, epochs: int = 0) -> None:
        self.name = name
        self.iters, self.epochs = iters, epochs

    def before_train(self, runner) -> None:
        """Find the parameters; from now on each step passes here first."""
        if self.epochs and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise InputError(
                f'FreezeGradHook(epochs={self.epochs}): the '
                'training counts iterations: set iters'
            )
        model = unwrapped(runner.model)
        found: list[nn.Parameter] = [
            p for name, p in model.named_parameters() if self.name in name
        ]
        if not found:
            raise InputError(
                f"FreezeGradHook: no parameter has '{self.name}' in its name"
            )

        def drop(*_) -> None:
            if runner.iter < self.iters or runner.epoch < self.epochs:
                for parameter in found:
                    parameter.grad = None

        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(drop)

    def after_train(self, runner) -> None:
        """Let go of the optimizer."""
        self._handle.remove()


@HOOKS.register_module()
class OptimizerLayoutHook(Hook):
    """Fits a resumed optimizer to this run's --speed.

    A checkpoint holds momentum in the memory layout of the weights that it
    was saved with, and the optimizer's ``fused``. torch's fused kernels walk
    through memory: with another layout they pair momentum and weights wrongly,
    without an error.
    """

    def before_train(self, runner) -> None:
        """Lay out the states as the weights; be fused if this run is."""
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

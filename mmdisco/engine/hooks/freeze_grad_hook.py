from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.registry import HOOKS
from torch import nn

from mmdisco.errors import InputError
from mmdisco.utils import unwrapped


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

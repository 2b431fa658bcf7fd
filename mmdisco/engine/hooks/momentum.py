"""Schedules of momentum encoders."""

from math import cos, pi

from mmengine.hooks import Hook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.registry import HOOKS

from mmdisco.errors import InputError
from mmdisco.models.heads import DINOHead


@HOOKS.register_module()
class MomentumHook(Hook):
    """Decay the update rate of a momentum encoder by a cosine.

    From the value of its config to ``end`` over the training, as in `BYOL
    <https://arxiv.org/abs/2006.07733>`_ and `DINO
    <https://arxiv.org/abs/2104.14294>`_. The value depends on the iteration only,
    so that a resumed run continues the schedule. With accumulated gradients the
    encoder is updated only after an optimizer step.

    Args:
        end (float): Final value of the papers' 1 - m. Defaults to 0.
    """

    def __init__(self, end: float = 0.0) -> None:
        self.end = end

    def before_train(self, runner) -> None:
        """Find the momentum encoders and their initial values.

        Raises:
            InputError: If the model has no momentum encoder.
        """
        self._begins = {
            m: m.momentum
            for m in runner.model.modules()
            if isinstance(m, ExponentialMovingAverage)
        }
        if not self._begins:
            raise InputError('MomentumHook: the model has no momentum encoder')

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Set the value for the update after the last optimizer step."""
        done = min(max(runner.iter - 1, 0) / runner.max_iters, 1)
        wrapper = runner.optim_wrapper
        stepped = wrapper._inner_count % wrapper._accumulative_counts == 0
        for module, begin in self._begins.items():
            module.momentum = stepped * (
                self.end + (begin - self.end) * (1 + cos(pi * done)) / 2
            )

    def after_train(self, runner) -> None:
        """Restore the values of the config."""
        for module, begin in self._begins.items():
            module.momentum = begin


@HOOKS.register_module()
class MomentumTempHook(Hook):
    """Warm up the temperature of DINO's momentum encoder.

    Linear over the first epochs, then constant: `DINO
    <https://arxiv.org/abs/2104.14294>`_, Appendix C. The value depends on the
    epoch only, so that a resumed run continues the schedule.

    Args:
        begin (float): Temperature of the first epoch. Defaults to .04.
        end (float): Temperature after the warm-up. Defaults to .07.
        epochs (int): Epochs of the warm-up. Defaults to 30.
    """

    def __init__(
        self, begin: float = 0.04, end: float = 0.07, epochs: int = 30
    ) -> None:
        self.begin, self.end, self.epochs = begin, end, epochs

    def before_train(self, runner) -> None:
        """Reject an iteration-based loop.

        Raises:
            InputError: If the loop counts iterations.
        """
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            raise InputError(
                'MomentumTempHook counts epochs, the training loop '
                'iterations: use an EpochBasedTrainLoop'
            )

    def before_train_epoch(self, runner) -> None:
        """Set the temperature.

        Raises:
            InputError: If the model has no DINOHead.
        """
        heads = [m for m in runner.model.modules() if isinstance(m, DINOHead)]
        if not heads:
            raise InputError('MomentumTempHook: the model has no DINOHead')
        done = min(runner.epoch / max(self.epochs - 1, 1), 1) if self.epochs else 1
        for head in heads:
            head.momentum_temp = self.begin + (self.end - self.begin) * done

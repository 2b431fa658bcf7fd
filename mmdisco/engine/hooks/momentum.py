from math import cos, pi

from mmengine.hooks import Hook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.registry import HOOKS

from mmdisco.errors import InputError
from mmdisco.models.heads import DINOHead


@HOOKS.register_module()
class MomentumHook(Hook):
    """Lowers what a momentum encoder takes from the student, by a cosine.

    From the value of its config to ``end`` over the training, as in `BYOL
    <https://arxiv.org/abs/2006.07733>`_ and `DINO
    <https://arxiv.org/abs/2104.14294>`_. The value depends on the iteration
    alone, so that a resumed run goes on where it was. With accumulated
    gradients the encoder waits for the optimizer's step.

    Args:
        end (float): 1 - m of the papers at the end. Defaults to 0.
    """

    def __init__(self, end: float = 0.0) -> None:
        self.end = end

    def before_train(self, runner) -> None:
        """Find the momentum encoders and where they begin."""
        self._begins = {
            m: m.momentum
            for m in runner.model.modules()
            if isinstance(m, ExponentialMovingAverage)
        }
        if not self._begins:
            raise InputError('MomentumHook: the model has no momentum encoder')

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Set the value by which the last step is taken over."""
        done = min(max(runner.iter - 1, 0) / runner.max_iters, 1)
        wrapper = runner.optim_wrapper
        stepped = wrapper._inner_count % wrapper._accumulative_counts == 0
        for module, begin in self._begins.items():
            module.momentum = stepped * (
                self.end + (begin - self.end) * (1 + cos(pi * done)) / 2
            )

    def after_train(self, runner) -> None:
        """Give back the values of the config."""
        for module, begin in self._begins.items():
            module.momentum = begin


@HOOKS.register_module()
class MomentumTempHook(Hook):
    """Raises the temperature of DINO's momentum encoder in the first epochs.

    By equal steps, an epoch each, then it stays: the warm-up of `DINO
    <https://arxiv.org/abs/2104.14294>`_, Appendix C. The value depends on the
    epoch alone, so that a resumed run goes on where it was.

    Args:
        begin (float): In the first epoch. Defaults to .04.
        end (float): From the last epoch of the warm-up on. Defaults to .07.
        epochs (int): Of the warm-up. Defaults to 30.
    """

    def __init__(
        self, begin: float = 0.04, end: float = 0.07, epochs: int = 30
    ) -> None:
        self.begin, self.end, self.epochs = begin, end, epochs

    def before_train(self, runner) -> None:
        """Refuse a training that counts no epochs."""
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            raise InputError(
                'MomentumTempHook counts epochs, the training '
                'iterations: use an EpochBasedTrainLoop'
            )

    def before_train_epoch(self, runner) -> None:
        """Set the temperature.

        Raises:
            InputError: If the model has no such head.
        """
        heads = [m for m in runner.model.modules() if isinstance(m, DINOHead)]
        if not heads:
            raise InputError('MomentumTempHook: the model has no DINOHead')
        done = min(runner.epoch / max(self.epochs - 1, 1), 1) if self.epochs else 1
        for head in heads:
            head.momentum_temp = self.begin + (self.end - self.begin) * done

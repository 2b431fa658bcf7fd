from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.registry import HOOKS

from mmdisco.errors import InputError
from mmdisco.models.heads import DINOHead


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

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import set_random_seed
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Makes an epoch's random numbers a function of seed, epoch and rank.

    Checkpoints hold no random states. With this hook, a run resumed at the
    end of an epoch goes on as it would have without the interruption,
    if the main process makes the views (as the quickstart does).
    """

    def before_train_epoch(self, runner) -> None:
        """Seed python, numpy and torch."""
        set_random_seed(runner.seed + 100_003 * runner.epoch +
                        1_009 * get_rank())

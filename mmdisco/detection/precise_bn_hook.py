from collections.abc import Sequence
from itertools import islice

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_reduce_params
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from mmdisco.engine.online.undisturbed import same_random_states
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped


@HOOKS.register_module()
class DetectionPreciseBNHook(Hook):
    """Makes the statistics of a detector's batch norms precise.

    With the weights as they are, they become the mean over many training
    batches, in place of a running mean over changing weights: see `Rethinking
    "Batch" in BatchNorm <https://arxiv.org/abs/2105.07576>`_, Sec. 3. MoCo's
    detectors do so before an evaluation. Variances are averaged, too, as by
    mmpretrain: how the means of batches differ is not added to them.

    mmpretrain's hook is not for detectors: it predicts, so that the head of
    regions would get the statistics of proposals of a test, and a mask head's
    at last; and it begins the loader of the training once more, which an
    ``InfiniteSampler`` does not survive. This one computes the loss, of images
    from a loader of its own, and leaves random states alone.

    Args:
        interval (int): After every so many epochs, or iterations with an
            ``IterBasedTrainLoop``, and after the last one, as the evaluation.
            Set it to that of the evaluation: with another one, a warning.
        num_batches (int): Batches of each rank. Defaults to 200, as
            detectron2's.

    Raises:
        ValueError: If one of them is less than 1.
    """

    # before the checkpoint is written; the evaluation comes later still
    priority = 'ABOVE_NORMAL'

    def __init__(self, interval: int, num_batches: int = 200) -> None:
        if interval < 1 or num_batches < 1:
            raise ValueError(
                f'interval {interval} and num_batches {num_batches}: each is at least 1'
            )
        self.interval = interval
        self.num_batches = num_batches

    def before_train(self, runner) -> None:
        """Warn of evaluations that would see other statistics."""
        every = getattr(runner.train_loop, 'val_interval', self.interval)
        if runner.val_loop is not None and every % self.interval:
            runner.logger.warning(
                f'DetectionPreciseBNHook: interval {self.interval}, but '
                f'train_cfg.val_interval {every}: some evaluations see the '
                'running statistics; set both alike'
            )

    def after_train_epoch(self, runner) -> None:
        """With a loop by epochs."""
        if not _by_iterations(runner) and (
            self.every_n_epochs(runner, self.interval)
            or self.is_last_train_epoch(runner)
        ):
            self._measure(runner)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """With a loop by iterations."""
        if _by_iterations(runner) and (
            self.every_n_train_iters(runner, self.interval)
            or self.is_last_train_iter(runner)
        ):
            self._measure(runner)

    @torch.no_grad()
    def _measure(self, runner) -> None:
        """Compute the statistics anew.

        Raises:
            InputError: If the loader has no batch.
        """
        model = unwrapped(runner.model)
        norms = [
            module
            for module in model.modules()
            if isinstance(module, _BatchNorm)
            and module.training
            and module.track_running_stats
        ]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        seen = 0
        with same_random_states():
            for data in islice(_batches(runner), self.num_batches):
                if not seen:
                    _begin_mean(norms)
                with runner.optim_wrapper.optim_context(runner.model):
                    model(**model.data_preprocessor(data, True), mode='loss')
                seen += 1
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        if not seen:
            raise InputError('DetectionPreciseBNHook: train_dataloader has no batch')
        all_reduce_params(
            [
                tensor
                for norm in norms
                for tensor in (norm.running_mean, norm.running_var)
            ],
            op='mean',
        )
        runner.logger.info(
            f'DetectionPreciseBNHook: {len(norms)} batch norms '
            f'have the statistics of {seen} batches'
        )


def _by_iterations(runner) -> bool:
    return isinstance(runner.train_loop, IterBasedTrainLoop)


def _batches(runner) -> DataLoader:
    """The images of the training, in a loader that nothing else draws from."""
    return runner.build_dataloader(
        dict(
            runner.cfg.train_dataloader,
            persistent_workers=False,
            dataset=runner.train_dataloader.dataset,
        ),
        seed=runner.seed,
    )


def _begin_mean(norms: Sequence[_BatchNorm]) -> None:
    """Have batch norms average all that is to come, with equal weights."""
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None

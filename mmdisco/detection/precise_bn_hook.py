"""Precise batch-norm statistics of detectors."""

from itertools import islice

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_reduce_params
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import IterBasedTrainLoop
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from mmdisco.engine.online.undisturbed import same_random_states
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped


@HOOKS.register_module()
class DetectionPreciseBNHook(Hook):
    """Estimate precise statistics for a detector's batch norms.

    The running mean over changing weights is replaced by the mean over many
    training batches with the current weights: see `Rethinking "Batch" in
    BatchNorm <https://arxiv.org/abs/2105.07576>`_, Sec. 3. MoCo's detectors do
    this before an evaluation. As in mmpretrain, the variance is the mean of the
    batch variances, without the variance of the batch means.

    mmpretrain's hook does not suit detectors: it predicts, so that the RoI head
    would see test-time proposals and a mask head only final boxes; and it
    restarts the training loader, which breaks an ``InfiniteSampler``. This hook
    computes the loss of images from a separate loader and restores all random
    states.

    Args:
        interval (int): Epochs, or iterations with an ``IterBasedTrainLoop``,
            between two estimates; the last epoch or iteration always has one.
            Use the interval of the evaluation; another one gives a warning.
        num_batches (int): Batches per rank. Defaults to 200, as in detectron2.

    Raises:
        ValueError: If either argument is less than 1.
    """

    # before the checkpoint hook; the evaluation comes later
    priority = 'ABOVE_NORMAL'

    def __init__(self, interval: int, num_batches: int = 200) -> None:
        if interval < 1 or num_batches < 1:
            raise ValueError(
                f'interval {interval} and num_batches {num_batches}: both must be >= 1'
            )
        self.interval = interval
        self.num_batches = num_batches

    def before_train(self, runner) -> None:
        """Warn if some evaluations would use running statistics."""
        every = getattr(runner.train_loop, 'val_interval', self.interval)
        if runner.val_loop is not None and every % self.interval:
            runner.logger.warning(
                f'DetectionPreciseBNHook: interval {self.interval}, but '
                f'train_cfg.val_interval {every}: some evaluations use the '
                'running statistics; set both to the same value'
            )

    def after_train_epoch(self, runner) -> None:
        """Estimate after an epoch of an epoch-based loop."""
        if not _by_iterations(runner) and (
            self.every_n_epochs(runner, self.interval)
            or self.is_last_train_epoch(runner)
        ):
            self._measure(runner)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Estimate after an iteration of an iteration-based loop."""
        if _by_iterations(runner) and (
            self.every_n_train_iters(runner, self.interval)
            or self.is_last_train_iter(runner)
        ):
            self._measure(runner)

    @torch.no_grad()
    def _measure(self, runner) -> None:
        """Estimate the statistics with the current weights.

        Raises:
            InputError: If the loader is empty.
        """
        model: BaseModel = unwrapped(runner.model)
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
        num = 0
        with same_random_states():
            for data in islice(_batches(runner), self.num_batches):
                if not num:
                    _begin_mean(norms)
                with runner.optim_wrapper.optim_context(runner.model):
                    model(**model.data_preprocessor(data, True), mode='loss')
                num += 1
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        if not num:
            raise InputError('DetectionPreciseBNHook: train_dataloader is empty')
        all_reduce_params(
            [
                tensor
                for norm in norms
                for tensor in (norm.running_mean, norm.running_var)
            ],
            op='mean',
        )
        runner.logger.info(
            f'DetectionPreciseBNHook: statistics of {len(norms)} batch norms '
            f'estimated from {num} batches'
        )


def _by_iterations(runner) -> bool:
    return isinstance(runner.train_loop, IterBasedTrainLoop)


def _batches(runner) -> DataLoader:
    """Build a separate loader of the training images."""
    return runner.build_dataloader(
        dict(
            runner.cfg.train_dataloader,
            persistent_workers=False,
            dataset=runner.train_dataloader.dataset,
        ),
        seed=runner.seed,
    )


def _begin_mean(norms: list[_BatchNorm]) -> None:
    """Reset batch norms to a cumulative average with equal weights."""
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None

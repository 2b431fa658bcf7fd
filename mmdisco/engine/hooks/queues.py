"""Checks and checkpoints of queues."""

from typing import Any

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch.utils.data import DataLoader

from mmdisco.errors import InputError
from mmdisco.launch.loaders import batch_size_of
from mmdisco.models.losses.feature_queue import FeatureQueue
from mmdisco.models.losses.swav_loss import QueueSwAVLoss
from mmdisco.utils import unwrapped


def check_batch(runner: Runner) -> int:
    """Check that the images fill one batch.

    ``tools/train.py`` calls it before ``runner.train``: iteration-based
    schedulers are built before any hook runs, and fail on an empty loader.

    Args:
        runner (Runner): A runner before or within its ``train``.

    Returns:
        int: Global batch size.

    Raises:
        InputError: If there are fewer images.
    """
    loader = runner.train_dataloader
    images = len(loader.dataset)
    batch = runner.world_size * batch_size_of(loader)
    if images < batch:
        raise InputError(
            f'{images} images are too few for one batch of {batch} '
            f'({runner.world_size} ranks): lower '
            'train_dataloader.batch_size, or add images'
        )
    return batch


@HOOKS.register_module()
class QueueCheckHook(Hook):
    """Check batch and queue against the number of images before training.

    A queue longer than the data set holds keys of the query's own image. MoCo's
    queue must be a multiple of the global batch, and all batches must be full:
    otherwise an assertion fails at its end. Queues of distillation losses wrap
    around and need only be short enough.
    """

    def before_train(self, runner) -> None:
        """Check batch and queue.

        Raises:
            InputError: If there are too few images for a batch, or the queue
                does not fit.
        """
        batch = check_batch(runner)
        loader = runner.train_dataloader
        images = len(loader.dataset)
        model = unwrapped(runner.model)
        prefix = 'model.ssl.' if hasattr(model, 'ssl') else 'model.'
        for name, module in model.named_modules():
            if isinstance(module, FeatureQueue) and len(module.rows) > images:
                raise InputError(
                    f'model.{name} of {len(module.rows)} features is longer '
                    f'than the data set of {images} images: set queue_len of '
                    f'model.{name.rpartition(".")[0]} to {images} or less'
                )
        length = getattr(getattr(model, 'ssl', model), 'queue_len', None)
        if length is None:
            return
        multiple = min(length, images) // batch * batch
        if length > images:
            raise InputError(
                f'a queue of {length} keys is longer than the data set of '
                f'{images} images: set {prefix}queue_len to {multiple} or less'
            )
        if length % batch:
            raise InputError(
                f'a queue of {length} keys is not a multiple of the global batch '
                f'of {batch}: set {prefix}queue_len to {multiple or batch}'
            )
        last = _last_batch(loader)
        if last:  # later batches would not fit the end of the queue
            raise InputError(
                f'the last batch of an epoch has {last} images, not '
                f'{batch // runner.world_size}, but the queue takes full '
                'batches: set train_dataloader.drop_last=True'
            )


def _last_batch(loader: DataLoader) -> int:
    """Return the size of a rank's incomplete last batch, 0 if there is none."""
    batches: Any = loader.batch_sampler
    sampler: Any = loader.sampler
    if batches.drop_last or isinstance(sampler, InfiniteSampler):
        return 0
    return len(sampler) % batches.batch_size


_KEY = 'swav_queue'


@HOOKS.register_module()
class SwAVQueueHook(Hook):
    """Start the queue of :class:`QueueSwAVLoss`, and save it in checkpoints.

    In `SwAV <https://arxiv.org/abs/2006.09882>`_ each rank has its own queue, but
    one rank writes the checkpoint: it saves the queues of all ranks as of the end
    of the last epoch.

    Args:
        start_epoch (int): Epoch, counted from 0, from which the queue is filled;
            it is used once it is full. Defaults to 15.
    """

    def __init__(self, start_epoch: int = 15) -> None:
        self.start_epoch = start_epoch
        self._all: dict | None = None  # queues of all ranks

    def before_train(self, runner) -> None:
        """Compare the queue with the batch.

        Raises:
            InputError: If there is no QueueSwAVLoss, or its queue is shorter
                than a batch.
        """
        length = self._loss(runner).queue_len
        batch = runner.train_dataloader.batch_size * runner.world_size
        if 0 < length < batch:
            raise InputError(
                f'a queue of {length} embeddings is shorter than the global '
                f'batch of {batch}: set queue_len of the loss to 0, or to more'
            )

    def before_train_epoch(self, runner) -> None:
        """Enable the queue from ``start_epoch`` on."""
        loss = self._loss(runner)
        loss.use_queue = loss.queue_len > 0 and runner.epoch >= self.start_epoch

    def after_train_epoch(self, runner) -> None:
        """Gather the queues; all ranks call this."""
        loss = self._loss(runner)
        if loss.queue is not None:
            queues = torch.stack(all_gather(loss.queue)).cpu()
            self._all = dict(queues=queues, filled=loss.filled)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the queues; only the writing rank calls this."""
        if self._all is not None:
            checkpoint[_KEY] = self._all

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Load this rank's queue if the run is resumed."""
        if not runner._resume or _KEY not in checkpoint:
            return
        queues, filled = (checkpoint[_KEY][k] for k in ('queues', 'filled'))
        if len(queues) != get_world_size():
            runner.logger.warning(
                f'The checkpoint has the queues of {len(queues)} ranks, this run '
                f'has {get_world_size()}: the queues start empty'
            )
            return
        loss = self._loss(runner)
        loss.queue = queues[get_rank()].to(loss.prototypes.weight.device, copy=True)
        loss.filled = filled
        self._all = checkpoint[_KEY]

    def _loss(self, runner) -> QueueSwAVLoss:
        losses = [m for m in runner.model.modules() if isinstance(m, QueueSwAVLoss)]
        if len(losses) != 1:
            raise InputError(
                f'SwAVQueueHook needs one QueueSwAVLoss, the model has {len(losses)}'
            )
        return losses[0]

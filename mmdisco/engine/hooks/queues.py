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

    ``tools/train.py`` calls it before ``runner.train``: schedulers that count
    iterations are built before any hook runs, and fail on an empty loader.

    Args:
        runner (Runner): Before its ``train``, or within.

    Returns:
        int: Images of a batch, over all ranks.

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
    """Checks batch and queue against the number of images, before training.

    A queue longer than the data set holds keys of the query's own image, and
    one that is not a multiple of the global batch can't be filled (MoCo
    stops with an assertion when it reaches the end), nor can it if the last
    batch of an epoch is smaller. Queues of distillation losses wrap around, and
    need only be short enough.
    """

    def before_train(self, runner) -> None:
        """Check.

        Raises:
            InputError: If a batch can't be filled, or the queue does not fit.
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
        fitting = min(length, images) // batch * batch
        if length > images:
            raise InputError(
                f'a queue of {length} keys is longer than the data set of '
                f'{images} images: set {prefix}queue_len to {fitting} or less'
            )
        if length % batch:
            raise InputError(
                f'a queue of {length} keys is no multiple of the global batch '
                f'of {batch}: set {prefix}queue_len to {fitting or batch}'
            )
        last = _last_batch(loader)
        if last:  # after which no batch fits the end of the queue
            raise InputError(
                f'the last batch of an epoch has {last} images, not '
                f'{batch // runner.world_size}, and a queue takes whole '
                'batches: set train_dataloader.drop_last=True'
            )


def _last_batch(loader: DataLoader) -> int:
    """Images of a rank that make no whole batch and are not left out."""
    batches: Any = loader.batch_sampler
    sampler: Any = loader.sampler
    if batches.drop_last or isinstance(sampler, InfiniteSampler):
        return 0
    return len(sampler) % batches.batch_size


_KEY = 'swav_queue'


@HOOKS.register_module()
class SwAVQueueHook(Hook):
    """Starts the queue of :class:`QueueSwAVLoss`, keeps it in checkpoints.

    The queue of `SwAV <https://arxiv.org/abs/2006.09882>`_ is each rank's
    own, but a checkpoint is written by one: it gets the queues of all as they
    were at the end of the last epoch.

    Args:
        start_epoch (int): First epoch, counted from 0, in which the queue is
            filled; it takes part once it is full. Defaults to 15.
    """

    def __init__(self, start_epoch: int = 15) -> None:
        self.start_epoch = start_epoch
        self._all: dict | None = None

    def before_train(self, runner) -> None:
        """Find the loss, and compare its queue with the batch.

        Raises:
            InputError: If there is no such loss, or no batch fits in.
        """
        length = self._loss(runner).queue_len
        batch = runner.train_dataloader.batch_size * runner.world_size
        if 0 < length < batch:
            raise InputError(
                f'a queue of {length} embeddings is shorter than the global '
                f'batch of {batch}: set queue_len of the loss to 0, or longer'
            )

    def before_train_epoch(self, runner) -> None:
        """Let the queue be filled from its epoch on."""
        loss = self._loss(runner)
        loss.use_queue = loss.queue_len > 0 and runner.epoch >= self.start_epoch

    def after_train_epoch(self, runner) -> None:
        """Gather the queues while all ranks are here."""
        loss = self._loss(runner)
        if loss.queue is not None:
            queues = torch.stack(all_gather(loss.queue)).cpu()
            self._all = dict(queues=queues, filled=loss.filled)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Put them in; only the rank that writes comes here."""
        if self._all is not None:
            checkpoint[_KEY] = self._all

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take this rank's queue out, if this run is a resumed one."""
        if not runner._resume or _KEY not in checkpoint:
            return
        queues, filled = (checkpoint[_KEY][k] for k in ('queues', 'filled'))
        if len(queues) != get_world_size():
            runner.logger.warning(
                f'The checkpoint has the queues of {len(queues)} ranks, here '
                f'are {get_world_size()}: they are filled anew'
            )
            return
        loss = self._loss(runner)
        loss.queue = queues[get_rank()].to(loss.prototypes.weight.device, copy=True)
        loss.filled = filled
        self._all = checkpoint[_KEY]

    def _loss(self, runner) -> QueueSwAVLoss:
        found = [m for m in runner.model.modules() if isinstance(m, QueueSwAVLoss)]
        if len(found) != 1:
            raise InputError(
                f'SwAVQueueHook is for one QueueSwAVLoss, the model has {len(found)}'
            )
        return found[0]

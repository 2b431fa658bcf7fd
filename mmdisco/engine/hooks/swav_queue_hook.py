import torch
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmdisco.errors import InputError
from mmdisco.models.losses.swav_loss import QueueSwAVLoss

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
        self._all = None

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

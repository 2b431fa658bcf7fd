"""SwAV's loss with a queue, and the Sinkhorn-Knopp iteration."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Assign samples to prototypes so that all prototypes are used equally.

    `SwAV <https://arxiv.org/abs/2006.09882>`_, Section 3.1, over the samples of
    all ranks. In mmpretrain, a rank joins a sum over ranks only if its local
    sum is zero, so its marginals are local and ranks may deadlock. Here, every
    rank takes part in every sum.

    Args:
        scores (Tensor): Scores of this rank's samples, [B, K], fp32.
        epsilon (float): Weight of the entropy.
        iterations (int): Number of normalisations.

    Returns:
        Tensor: Codes, [B, K]. Each row sums to one.
    """
    codes = torch.exp(scores / epsilon)  # [B, K]
    samples, prototypes = len(codes) * get_world_size(), codes.shape[1]
    total = codes.sum()
    all_reduce(total)
    codes /= total
    for _ in range(iterations):
        used = codes.sum(0)  # [K]
        all_reduce(used)
        codes /= used * prototypes
        codes /= codes.sum(1, keepdim=True) * samples
    return codes * samples


@MODELS.register_module()
class QueueSwAVLoss(BaseModule):
    """SwAV's loss, equal to the public code's on any number of ranks.

    Swapped prediction of `SwAV <https://arxiv.org/abs/2006.09882>`_, with the
    arguments and state-dict keys of mmpretrain's ``SwAVLoss``. The queue is
    part of this module; :class:`SwAVQueueHook` starts it and saves it in the
    checkpoint.

    Args:
        feat_dim (int): Width of the embeddings, D.
        sinkhorn_iterations (int): Normalisations of the codes. Defaults to 3.
        epsilon (float): Weight of the entropy. Defaults to .05.
        temperature (float): Temperature of the predictions. Defaults to .1.
        crops_for_assign (Sequence[int]): Crops that get codes. Defaults to
            (0, 1).
        num_crops (Sequence[int]): Crops of each size. Defaults to (2, ).
        num_prototypes (int): Number of prototypes, K. Defaults to 3000.
        queue_len (int): Embeddings in the queues of all ranks together,
            rounded down to a multiple of the global batch. Defaults to 0.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        InputError: If a crop in ``crops_for_assign`` does not exist, or there
            is only one crop.

    Example:
        >>> loss = QueueSwAVLoss(feat_dim=8, num_prototypes=5)
        >>> embeds = F.normalize(torch.randn(2 * 4, 8), dim=1)
        >>> loss(embeds).shape
        torch.Size([])
    """

    def __init__(
        self,
        feat_dim: int,
        sinkhorn_iterations: int = 3,
        epsilon: float = 0.05,
        temperature: float = 0.1,
        crops_for_assign: Sequence[int] = (0, 1),
        num_crops: Sequence[int] = (2,),
        num_prototypes: int = 3000,
        queue_len: int = 0,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.crops = sum(num_crops)
        if not set(crops_for_assign) <= set(range(self.crops)):
            raise InputError(
                f'crops_for_assign={list(crops_for_assign)}, but there are '
                f'{self.crops} crops: set indices below {self.crops}'
            )
        if self.crops < 2:
            raise InputError(
                'SwAV predicts the codes of a crop from other '
                f'crops: num_crops={list(num_crops)} has one, set two or more'
            )
        self.prototypes = nn.Linear(feat_dim, num_prototypes, bias=False)
        self.sinkhorn_iterations = sinkhorn_iterations
        self.epsilon = epsilon
        self.temperature = temperature
        self.crops_for_assign = tuple(crops_for_assign)
        self.queue_len = queue_len
        self.use_queue = False  # the hook switches it on at some epoch
        self.queue: Tensor | None = None  # [assigned crops, L, D]
        self.filled = 0  # rows of the queue

    def forward(self, x: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            x (Tensor): Unit embeddings, [V * N, D], crop by crop.

        Returns:
            Tensor: Scalar, fp32.
        """
        with torch.no_grad():
            self.prototypes.weight.copy_(F.normalize(self.prototypes.weight, dim=1))
        with torch.autocast(x.device.type, enabled=False):
            embeds = x.float()
            scores = self.prototypes(embeds).chunk(self.crops)  # V of [N, K]
            logs = [F.log_softmax(s / self.temperature, dim=1) for s in scores]
            codes = self._codes(embeds.detach().chunk(self.crops), scores)
            losses = [
                -(codes[crop] * logs[other]).sum(1).mean()
                for crop in codes
                for other in range(self.crops)
                if other != crop
            ]
        return sum(losses) / len(losses)

    @torch.no_grad()
    def _codes(self, embeds: Sequence[Tensor], scores: Sequence[Tensor]) -> dict:
        """Codes of the assigned crops, [N, K] each."""
        num = len(embeds[0])
        rows = self.queue_len // (num * get_world_size()) * num
        use = self.use_queue and rows > 0
        if use and (self.queue is None or self.queue.shape[1] != rows):
            self.filled = 0  # a resumed run may have another batch size
            self.queue = embeds[0].new_zeros(
                len(self.crops_for_assign), rows, embeds[0].shape[1]
            )
        queue = self.queue if use else None
        codes = {}
        for i, crop in enumerate(self.crops_for_assign):
            samples = scores[crop]
            if queue is not None and self.filled >= rows:
                samples = torch.cat([self.prototypes(queue[i]), samples])
            codes[crop] = sinkhorn(samples, self.epsilon, self.sinkhorn_iterations)[
                -num:
            ]
            if queue is not None:
                queue[i] = torch.cat([embeds[crop], queue[i]])[:rows]
        if queue is not None:
            self.filled += num
        return codes

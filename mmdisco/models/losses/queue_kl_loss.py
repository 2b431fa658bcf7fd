"""Divergence of similarities to a queue that holds the batch, too."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from .base import DistillLoss, EmbedSpec
from .feature_queue import FeatureQueue


@MODELS.register_module()
class QueueKLLoss(DistillLoss):
    """KL divergence of the student's similarities from the teacher's.

    Both networks score an image against a queue of the teacher's embeddings, all
    L2-normalised. The queue is a set of pseudo-classes: the teacher's softmax is
    the target of the student's. It is the loss of pooled features in
    LightlyTrain's third recipe for distillation, where the student's head is one
    linear layer, and images may be mixed (``mixup`` of :class:`DisCo`).

    It differs from :class:`SEEDLoss`, which has the same idea, in two points:

    - one temperature for both networks, so that a perfect student has a loss of
      0; SEED's target is sharper than its student can be;
    - the batch of all ranks enters the queue *before* it is scored, so that an
      image is compared with the other images of its batch, too. In SEED, it is
      compared with itself and earlier images.

    Args:
        embed_dim (int): Width of the embeddings, D. Defaults to 384.
        queue_len (int): Embeddings in the queue, L, with those of the batch.
            Defaults to 8192.
        temperature (float): Temperature of both networks. Defaults to .07.
        loss_weight (float): Factor of the mean over rows. Defaults to 1.
        views (Sequence[int], optional): Views that are distilled, one after the
            other. Defaults to None, all.

    Example:
        >>> loss = QueueKLLoss(embed_dim=8, queue_len=16)
        >>> loss(torch.randn(4, 8), torch.randn(4, 8)).shape
        torch.Size([])
    """

    def __init__(
        self,
        embed_dim: int = 384,
        queue_len: int = 8192,
        temperature: float = 0.07,
        loss_weight: float = 1.0,
        views: Sequence[int] | None = None,
    ) -> None:
        super().__init__(loss_weight, views)
        self.temperature = temperature
        self.queue = FeatureQueue(queue_len, embed_dim)

    def check(
        self, student: EmbedSpec, teacher: EmbedSpec, key: str = 'model.distill'
    ) -> None:
        """Check the queue's width, too."""
        self.queue.check_width('teacher', teacher.width, f'{key}.embed_dim')
        super().check(student, teacher, key)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Update the queue and compute the loss of one view.

        Args:
            student (Tensor): Embeddings, [N, D], of any norm.
            teacher (Tensor): Embeddings of the same images, [N, D].

        Returns:
            Tensor: Scalar, fp32.

        Raises:
            InputError: If the width is not ``embed_dim``, or the images of all
                ranks do not fit into the queue.
        """
        with torch.autocast(student.device.type, enabled=False):
            student = F.normalize(student.float(), dim=1)  # [N, D]
            teacher = F.normalize(teacher.float(), dim=1)
            self.queue.enqueue(teacher)
            log, target = (
                (self.queue(embeds) / self.temperature).log_softmax(1)
                for embeds in (student, teacher)
            )  # [N, L]
            divergence = F.kl_div(log, target, reduction='batchmean', log_target=True)
            return self.loss_weight * divergence

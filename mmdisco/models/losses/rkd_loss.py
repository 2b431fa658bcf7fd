"""Relational knowledge distillation (https://arxiv.org/abs/1904.05068)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .base import DistillLoss


@MODELS.register_module()
class RKDLoss(DistillLoss):
    """Distances and angles between the images of a batch.

    `Relational Knowledge Distillation <https://arxiv.org/abs/1904.05068>`_,
    Section 3.2, on the images of this rank: the Huber loss of all pairwise
    distances, divided by their mean for each network, and of the cosines of
    all N³ angles. Widths may differ. The angles are computed for a few
    vertices at a time, and again in the backward pass, so that memory grows
    with N², not N³.

    Args:
        distance_weight (float): Weight of the distances. Defaults to 1, as in
            DisCo's released code.
        angle_weight (float): Weight of the angles. Defaults to 1, as in DisCo's
            released code. The paper of RKD weights distances to angles 1 : 2.
        normalize (bool): Whether to L2-normalise both embeddings first, as in
            DisCo's released code. Defaults to True.
        loss_weight (float): Factor of the weighted sum. Defaults to 1.
        chunk_size (int): Vertices at a time. Defaults to 16.
        views (Sequence[int], optional): Views that are distilled, None for
            all. Defaults to (0, ), as in the released code.

    Example:
        >>> RKDLoss()(torch.randn(4, 6), torch.randn(4, 8)).shape
        torch.Size([])
    """

    any_width = True

    def __init__(
        self,
        distance_weight: float = 1.0,
        angle_weight: float = 1.0,
        normalize: bool = True,
        loss_weight: float = 1.0,
        chunk_size: int = 16,
        views: Sequence[int] | None = (0,),
    ) -> None:
        super().__init__(loss_weight, views)
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight
        self.normalize = normalize
        self.chunk_size = chunk_size

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the loss of one view.

        Args:
            student (Tensor): Embeddings, [N, D].
            teacher (Tensor): Embeddings of the same images, [N, E].

        Returns:
            Tensor: Scalar, fp32.
        """
        with torch.autocast(student.device.type, enabled=False):
            student, teacher = student.float(), teacher.float()
            if self.normalize:
                student = F.normalize(student, dim=1)
                teacher = F.normalize(teacher, dim=1)
            loss = student.new_zeros(())
            if self.distance_weight:
                loss = loss + self.distance_weight * F.smooth_l1_loss(
                    distances(student), distances(teacher)
                )
            if self.angle_weight:
                loss = loss + self.angle_weight * self._angle(student, teacher)
            return self.loss_weight * loss

    def _angle(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mean over the angles at all vertices."""
        num = len(student)
        total = student.new_zeros(())
        for first in range(0, num, self.chunk_size):
            total = total + checkpoint(
                _angle_sum,
                student,
                teacher,
                slice(first, first + self.chunk_size),
                use_reentrant=False,
                preserve_rng_state=False,
            )
        return total / num**3


def distances(embeds: Tensor) -> Tensor:
    """Pairwise distances [N, N], divided by the mean of all N (N - 1) pairs.

    Two images with equal embeddings count as a pair with a distance of zero.
    The mean is at least 1e-6, the value to which the public code clamps each
    distance, so that gradients stay finite if all embeddings are equal.

    Args:
        embeds (Tensor): [N, D].
    """
    num = len(embeds)
    pairs = torch.cdist(embeds, embeds, compute_mode='donot_use_mm_for_euclid_dist')
    return pairs / (pairs.sum() / max(num * (num - 1), 1)).clamp(min=1e-6)


def cosines(embeds: Tensor, vertices: slice) -> Tensor:
    """Cosines [V, N, N] of the angles at V vertices; zero if there is no angle.

    Args:
        embeds (Tensor): [N, D].
        vertices (slice): Which V of the N.
    """
    sides = embeds[None] - embeds[vertices, None]  # [V, N, D]
    norm = sides.norm(dim=2, keepdim=True)
    # equal embeddings: no division by zero, also in the backward pass
    sides = sides / norm.masked_fill(norm == 0, 1.0)
    return sides @ sides.transpose(1, 2)


def _angle_sum(student: Tensor, teacher: Tensor, vertices: slice) -> Tensor:
    return F.smooth_l1_loss(
        cosines(student, vertices), cosines(teacher, vertices), reduction='sum'
    )

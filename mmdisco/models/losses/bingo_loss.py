"""BINGO (https://arxiv.org/abs/2107.01691)."""

from collections.abc import Collection, Sequence

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from mmdisco.errors import InputError
from ..tap import Views
from .base import DistillLoss, EmbedSpec
from .feature_queue import FeatureQueue


@MODELS.register_module()
class BINGOLoss(DistillLoss):
    """Aggregation of bags of instances.

    `BINGO <https://arxiv.org/abs/2107.01691>`_, 'Knowledge distillation via
    bag aggregation'. A bag is an image, the anchor, and its nearest
    neighbours in the teacher's embedding space, found before training. The
    student's embeddings of the anchor (intra-sample) and of one member of its
    bag (inter-sample) are both pulled towards the teacher's embedding of the
    anchor:

    .. math:: L = L_{ce}(f_S(t_1(x_a)), f_T(t_2(x_a)))
                  + L_{ce}(f_S(t_3(x_p)), f_T(t_2(x_a)))

    Both terms are InfoNCE; the negatives are a queue of the teacher's
    embeddings of earlier anchors.

    The released code differs from the paper: from its twelfth epoch on, it
    also pulls each embedding halfway to the teacher's embedding of the member;
    it adds a CutMix of anchor and member; and it averages these three terms.

    Args:
        embed_dim (int): Width of the embeddings, D. Defaults to 128.
        queue_len (int): Embeddings in the queue, L. Defaults to 65536, as in
            the released code.
        temperature (float): Temperature of the similarities. Defaults to .2,
            as in the released code.
        loss_weight (float): Factor of the sum of both terms. Defaults to 1.
        views (Sequence[int]): The student's view of the anchor, the teacher's
            view of the anchor, and the student's view of the member. Defaults
            to (0, 1, 2).

    Example:
        >>> loss = BINGOLoss(embed_dim=8, queue_len=16)
        >>> student, teacher, member = torch.randn(3, 4, 8)
        >>> loss(student, teacher, member).shape
        torch.Size([])
    """

    def __init__(
        self,
        embed_dim: int = 128,
        queue_len: int = 65536,
        temperature: float = 0.2,
        loss_weight: float = 1.0,
        views: Sequence[int] = (0, 1, 2),
    ) -> None:
        super().__init__(loss_weight)
        self.views: Sequence[int] = views
        self.temperature = temperature
        self.queue = FeatureQueue(queue_len, embed_dim)

    def check(
        self, student: EmbedSpec, teacher: EmbedSpec, key: str = 'model.distill'
    ) -> None:
        """Check the queue's width, too."""
        self.queue.check_width('teacher', teacher.width, f'{key}.embed_dim')
        super().check(student, teacher, key)

    def teacher_views(self, student_views: Collection[int]) -> set[int]:
        """The teacher embeds the anchor alone, the student anchor and member."""
        anchor, target, member = self.views
        if not {anchor, member} <= {*student_views}:
            raise InputError(
                f'{type(self).__name__} needs the views {anchor} and {member} of the '
                f'student, which embeds {sorted(student_views)}: set model.ssl.views'
            )
        return {target}

    def total(
        self, student: Views, teacher: Views, keys: dict[int, Tensor] | None = None
    ) -> Tensor:
        """One term of the three views, instead of a sum over views."""
        anchor, target, member = self.views
        return self(
            student[anchor].embeds, teacher[target].embeds, student[member].embeds
        )

    def forward(self, student: Tensor, teacher: Tensor, member: Tensor) -> Tensor:
        """Compute the loss and update the queue.

        Args:
            student (Tensor): The student's embeddings of one view of the
                anchors, [N, D], of any norm.
            teacher (Tensor): The teacher's embeddings of another view of the
                anchors, [N, D].
            member (Tensor): The student's embeddings of a view of another
                image in the bag of each anchor, [N, D].

        Returns:
            Tensor: Scalar, fp32.

        Raises:
            InputError: If the width is not ``embed_dim``.
        """
        with torch.autocast(student.device.type, enabled=False):
            student, teacher, member = (  # [N, D]
                F.normalize(e.float(), dim=1) for e in (student, teacher, member)
            )
            loss = self._info_nce(student, teacher) + self._info_nce(member, teacher)
            self.queue.enqueue(teacher)
            return self.loss_weight * loss

    def _info_nce(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mean over images; the positive comes first of [N, 1 + L]."""
        positive = (student * teacher).sum(1, keepdim=True)  # [N, 1]
        logits = torch.cat([positive, self.queue(student)], dim=1)
        labels = torch.zeros(len(student), dtype=torch.long, device=student.device)
        return F.cross_entropy(logits / self.temperature, labels)

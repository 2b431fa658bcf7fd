"""SEED (https://arxiv.org/abs/2101.04731)."""

from collections.abc import Sequence
from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from mmdisco.errors import InputError
from ..tap import Views
from .base import DistillLoss, EmbedSpec
from .feature_queue import FeatureQueue


@MODELS.register_module()
class SEEDLoss(DistillLoss):
    """Cross entropy of the student's and the teacher's similarities.

    `SEED <https://arxiv.org/abs/2101.04731>`_, Section 3.2: both networks
    score a view against the teacher's embedding of that view and a queue of
    the teacher's embeddings of earlier views.

    For SwAV's teachers, the released code adds six small patches with a second
    queue, averages their losses, and enqueues the first patch after all are
    scored. Here, that is a second ``SEEDLoss(loss_weight=1 / 6, views=(1, 2,
    3, 4, 5, 6), enqueue_views=(6, ))`` beside the first: all patches are drawn
    from the same distribution, so the last may be enqueued instead of the
    first.

    Args:
        embed_dim (int): Width of the embeddings, D. Defaults to 128.
        queue_len (int): Embeddings in the queue, L. Defaults to 65536.
        student_temp (float): Temperature of the student. Defaults to .2, as in
            the paper and the README of the released code.
        teacher_temp (float): Temperature of the teacher. Defaults to .01, the
            paper's value as far as we know (not verified). The released code
            has 1e-4, with which the target is almost one-hot: the teacher's
            embedding of the same view.
        loss_weight (float): Factor of the mean over rows. Defaults to 1.
        views (Sequence[int], optional): Views that are distilled, None for
            all. Defaults to (0, ), as in the paper.
        enqueue_views (Sequence[int], optional): Views that enter the queue,
            None for all that are distilled. A view enters right after it is
            scored, before the next view is scored. Defaults to None.

    Raises:
        InputError: If a view enters the queue that is not distilled.

    Example:
        >>> loss = SEEDLoss(embed_dim=8, queue_len=16)
        >>> loss(torch.randn(4, 8), torch.randn(4, 8)).shape
        torch.Size([])
    """

    def __init__(
        self,
        embed_dim: int = 128,
        queue_len: int = 65536,
        student_temp: float = 0.2,
        teacher_temp: float = 0.01,
        loss_weight: float = 1.0,
        views: Sequence[int] | None = (0,),
        enqueue_views: Sequence[int] | None = None,
    ) -> None:
        super().__init__(loss_weight, views)
        if views is not None and not {*(enqueue_views or ())} <= {*views}:
            raise InputError(
                f'enqueue_views={list(enqueue_views or ())} are not all among '
                f'views={list(views)} of SEEDLoss: add them to views'
            )
        self.student_temp = student_temp
        self.teacher_temp = teacher_temp
        self.enqueue_views = enqueue_views
        self.queue = FeatureQueue(queue_len, embed_dim)

    def check(
        self, student: EmbedSpec, teacher: EmbedSpec, key: str = 'model.distill'
    ) -> None:
        """Check the queue's width, too."""
        self.queue.check_width('teacher', teacher.width, f'{key}.embed_dim')
        super().check(student, teacher, key)

    def total(
        self, student: Views, teacher: Views, keys: dict[int, Tensor] | None = None
    ) -> Tensor:
        """Sum over the views, each with its index for ``enqueue_views``."""
        return reduce(
            add,
            (
                self(student[view].embeds, teacher[view].embeds, view)
                for view in self.distilled(student)
            ),
        )

    def forward(
        self, student: Tensor, teacher: Tensor, view: int | None = None
    ) -> Tensor:
        """Compute the loss of one view and update the queue.

        Args:
            student (Tensor): Embeddings, [N, D], of any norm.
            teacher (Tensor): Embeddings of the same images, [N, D].
            view (int, optional): Index of the view, needed with
                ``enqueue_views``.

        Returns:
            Tensor: Scalar, fp32.

        Raises:
            InputError: If ``view`` is missing, or the width is not
                ``embed_dim``.
        """
        if self.enqueue_views is not None and view is None:
            raise InputError(
                'SEEDLoss with enqueue_views needs the index of the '
                'view: call loss(student, teacher, view)'
            )
        with torch.autocast(student.device.type, enabled=False):
            student = F.normalize(student.float(), dim=1)  # [N, D]
            teacher = F.normalize(teacher.float(), dim=1)  # [N, D]
            log = (self._scores(student, teacher) / self.student_temp).log_softmax(
                1
            )  # [N, 1 + L]
            target = (self._scores(teacher, teacher) / self.teacher_temp).softmax(1)
            loss = -(target * log).sum(1).mean()
            if self.enqueue_views is None or view in self.enqueue_views:
                self.queue.enqueue(teacher)
            return self.loss_weight * loss

    def _scores(self, embeds: Tensor, teacher: Tensor) -> Tensor:
        """Similarity to the teacher's embedding and to the queue, [N, 1 + L]."""
        positive = (embeds * teacher).sum(1, keepdim=True)  # [N, 1]
        return torch.cat([positive, self.queue(embeds)], dim=1)

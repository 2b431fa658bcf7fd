"""CompRess (https://arxiv.org/abs/2010.14713)."""

import logging
from collections.abc import Sequence
from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmpretrain.registry import MODELS
from torch import Tensor

from mmdisco.errors import InputError
from ..tap import Views
from .base import DistillLoss, EmbedSpec
from .feature_queue import FeatureQueue


@MODELS.register_module()
class CompRessLoss(DistillLoss):
    """KL divergence of the similarities to earlier images.

    `CompRess <https://arxiv.org/abs/2010.14713>`_. With two memories (2q), the
    student is compared with its own earlier features and the teacher with its
    own, so widths may differ. With one memory (1q), both are compared with the
    teacher's earlier features. Features are those of the backbones, not of the
    heads. A batch is scored before it enters a memory.

    The rows of a new memory have norm 1; in the released code, they are uniform
    with a norm of about 1.

    Args:
        teacher_dim (int): Width of the teacher's features, D.
        student_dim (int, optional): Width of the student's features, for a
            memory of the student (2q). Defaults to None, no such memory (1q).
        queue_len (int): Features in each memory, L. A memory of 128 000
            features of width 2048 takes 1 GiB. Defaults to 128000.
        temperature (float): Temperature of student and teacher. Defaults to
            .04.
        adapter (dict, optional): With one memory, ``in_features`` and
            ``out_features`` of a linear layer from the student's width to the
            teacher's. Defaults to None, no adapter.
        loss_weight (float): Factor of the mean over rows. Defaults to 1.
        views (Sequence[int], optional): Views that are distilled, None for
            all. Defaults to (0, ), as in the released code.

    Raises:
        InputError: If there are an adapter and two memories.

    Example:
        >>> loss = CompRessLoss(teacher_dim=8, student_dim=6, queue_len=16)
        >>> loss(torch.randn(4, 6), torch.randn(4, 8)).shape
        torch.Size([])
    """

    def __init__(
        self,
        teacher_dim: int,
        student_dim: int | None = None,
        queue_len: int = 128000,
        temperature: float = 0.04,
        adapter: dict | None = None,
        loss_weight: float = 1.0,
        views: Sequence[int] | None = (0,),
    ) -> None:
        super().__init__(loss_weight, views, adapter)
        if student_dim is not None and adapter is not None:
            raise InputError(
                'CompRessLoss takes an adapter (one memory) or '
                'student_dim (two memories), not both'
            )
        self.temperature = temperature
        self.any_width = student_dim is not None
        self.teacher_memory = FeatureQueue(queue_len, teacher_dim)
        self.student_memory = (
            None if student_dim is None else FeatureQueue(queue_len, student_dim)
        )

    def check(
        self, student: EmbedSpec, teacher: EmbedSpec, key: str = 'model.distill'
    ) -> None:
        """Check the memories, too."""
        name = type(self).__name__
        self.teacher_memory.check_width('teacher', teacher.width, f'{key}.teacher_dim')
        if self.student_memory is not None:
            self.student_memory.check_width(
                'student', student.width, f'{key}.student_dim'
            )
            if student.key_views is None:
                print_log(
                    f'{name}: {student.name} has no moving average for the '
                    "student's memory, its own features enter: use a "
                    'MomentumStudent for CompRess as published',
                    logger='current',
                    level=logging.WARNING,
                )
        elif student.key_views is not None:
            raise InputError(
                f'{name} has one memory, of the teacher, and the {student.name} '
                f'fills another: set {key}.student_dim, or model.ssl.type to '
                'PlainStudent'
            )
        if student.key_views is not None and student.key_views != student.views:
            raise InputError(
                f'a {student.name} has keys of its own views alone: '
                'set them in model.ssl.views, not in model.extra_views'
            )
        super().check(student, teacher, key)

    def total(
        self, student: Views, teacher: Views, keys: dict[int, Tensor] | None = None
    ) -> Tensor:
        """Sum over the views, each with its key if there are keys."""
        return reduce(
            add,
            (
                self(
                    student[view].embeds,
                    teacher[view].embeds,
                    None if keys is None else keys[view],
                )
                for view in self.distilled(student)
            ),
        )

    def forward(
        self, student: Tensor, teacher: Tensor, key: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of one view and update the memories.

        Args:
            student (Tensor): Features, [N, S], of any norm.
            teacher (Tensor): Features of the same images, [N, D].
            key (Tensor, optional): Features of the images from the student's
                moving average, [N, S], for the student's memory. Defaults to
                None: the student's features enter.

        Returns:
            Tensor: Scalar, fp32.

        Raises:
            InputError: If there is a key and no memory for it, or the widths
                are not those of the memories.
        """
        if key is not None and self.student_memory is None:
            raise InputError(
                'CompRessLoss has one memory, of the teacher: '
                'set student_dim, or pass no key'
            )
        with torch.autocast(student.device.type, enabled=False):
            student, teacher = student.float(), teacher.float()
            if self.adapter is not None:
                student = self.adapter(student)  # [N, D]
            student = F.normalize(student, dim=1)
            teacher = F.normalize(teacher, dim=1)
            scores = (self.student_memory or self.teacher_memory)(student)
            log = (scores / self.temperature).log_softmax(1)  # [N, L]
            target = (self.teacher_memory(teacher) / self.temperature).log_softmax(
                1
            )  # [N, L]
            loss = F.kl_div(log, target, reduction='batchmean', log_target=True)
            if self.student_memory is not None:
                self.student_memory.enqueue(
                    student if key is None else F.normalize(key.float(), dim=1)
                )
            self.teacher_memory.enqueue(teacher)
            return self.loss_weight * loss

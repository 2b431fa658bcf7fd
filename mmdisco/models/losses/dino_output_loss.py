"""Distillation of the outputs of a teacher that DINO trained."""

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from mmdisco.checkpoints import read_prototypes, sha256_of
from mmdisco.errors import InputError
from .base import DistillLoss, EmbedSpec


@MODELS.register_module()
class DINOOutputLoss(DistillLoss):
    """Cross entropy of student and teacher over the teacher's outputs.

    Both bottlenecks go through the teacher's frozen last layer, and its centre
    is applied to the targets, as in `DINO <https://arxiv.org/abs/2104.14294>`_,
    Algorithm 1. An alternative to :class:`DisCoLoss` on the DINO testbed, since
    the DisCo paper does not specify what it distils there.

    Args:
        checkpoint (str): The teacher's file with its last layer, i.e. DINO's
            full checkpoint.
        student_temp (float): Temperature of the student. Defaults to .1.
        teacher_temp (float): Temperature of the teacher. Defaults to .04.
        loss_weight (float): Factor of the mean over rows. Defaults to 1.

    Raises:
        FileNotFoundError: If ``checkpoint`` does not exist.
        InputError: If it has no last layer.

    Example:
        >>> path = 'dino_deitsmall16_pretrain_full_checkpoint.pth'
        >>> loss = DINOOutputLoss(path)  # doctest: +SKIP
    """

    prototypes: Tensor  # [K, D]
    center: Tensor  # [1, K]

    def __init__(
        self,
        checkpoint: str,
        student_temp: float = 0.1,
        teacher_temp: float = 0.04,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.student_temp = student_temp
        self.teacher_temp = teacher_temp
        # part of the teacher, not of the student: a resumed run reads it again
        for name, value in read_prototypes(checkpoint)._asdict().items():
            self.register_buffer(name, value, persistent=False)
        self.sha256 = sha256_of(checkpoint)

    def check(
        self, student: EmbedSpec, teacher: EmbedSpec, key: str = 'model.distill'
    ) -> None:
        """Check the width of the last layer, too."""
        width = self.prototypes.shape[1]
        if teacher.width not in (None, width):
            raise InputError(
                f'the last layer in the file of {type(self).__name__} is for {width}-d '
                f'embeddings, the teacher gives {teacher.width}-d ones: set '
                f"{key}.checkpoint to the teacher's file"
            )
        super().check(student, teacher, key)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the loss of one view.

        Args:
            student (Tensor): Embeddings, [N, D], of any norm.
            teacher (Tensor): Embeddings of the same images, [N, D].

        Returns:
            Tensor: Scalar, fp32.
        """
        with torch.autocast(student.device.type, enabled=False):
            logits, scores = (  # [N, K]
                F.normalize(embeds.float(), dim=1) @ self.prototypes.T
                for embeds in (student, teacher)
            )
            target = ((scores - self.center) / self.teacher_temp).softmax(1)
            log = (logits / self.student_temp).log_softmax(1)
            return -self.loss_weight * (target * log).sum(1).mean()

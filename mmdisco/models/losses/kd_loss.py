"""Knowledge distillation with labels (https://arxiv.org/abs/1503.02531)."""

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from mmdisco.errors import InputError
from .base import DistillLoss


@MODELS.register_module()
class KDLoss(DistillLoss):
    r"""Cross entropy with labels, and divergence from the softened teacher.

    `Distilling the Knowledge in a Neural Network
    <https://arxiv.org/abs/1503.02531>`_, Section 2, for a classifier:
    :math:`\alpha T^2 KL(p_t \| p_s) + (1 - \alpha) CE`, with both
    distributions at temperature T.

    Args:
        temperature (float): T. Defaults to 2, as in DisCo's released code.
        alpha (float): Share of the teacher. Defaults to .5, as in DisCo's
            released code.
        reduction (str): 'batchmean' sums the divergence over classes and
            averages it over images. 'mean', as in DisCo's released code,
            averages it over classes, too, i.e. divides it by their number.
            Defaults to 'batchmean'.
        loss_weight (float): Factor of the sum. Defaults to 1.

    Raises:
        InputError: If the reduction is unknown.

    Example:
        >>> student, teacher = torch.randn(2, 4, 10)
        >>> KDLoss()(student, teacher, torch.tensor([0, 3, 9, 1])).shape
        torch.Size([])
    """

    needs_labels = True

    def __init__(
        self,
        temperature: float = 2.0,
        alpha: float = 0.5,
        reduction: str = 'batchmean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if reduction not in ('batchmean', 'mean'):
            raise InputError(
                f"reduction of KDLoss is 'batchmean' or 'mean', got {reduction!r}"
            )
        self.temperature = temperature
        self.alpha = alpha
        self.reduction = reduction

    def forward(
        self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor
    ) -> Tensor:
        """Compute the loss.

        Args:
            student_logits (Tensor): [N, C].
            teacher_logits (Tensor): [N, C].
            labels (Tensor): Classes, [N], integers.

        Returns:
            Tensor: Scalar, fp32, or fp64 if the student's logits are.

        Raises:
            InputError: If the numbers of classes differ.
        """
        if student_logits.shape[1] != teacher_logits.shape[1]:
            raise InputError(
                f'the student has {student_logits.shape[1]} classes, the '
                f'teacher {teacher_logits.shape[1]}'
            )
        with torch.autocast(student_logits.device.type, enabled=False):
            # at least: a solver may use fp64
            fp32 = torch.promote_types(student_logits.dtype, torch.float32)
            student = student_logits.to(fp32)
            log, target = (  # [N, C]
                (logits / self.temperature).log_softmax(1)
                for logits in (student, teacher_logits.to(fp32))
            )
            divergence = F.kl_div(log, target, reduction='sum', log_target=True)
            divergence = divergence / (
                len(log) if self.reduction == 'batchmean' else log.numel()
            )
            loss = self.alpha * self.temperature**2 * divergence + (
                1 - self.alpha
            ) * F.cross_entropy(student, labels)
            return self.loss_weight * loss

"""SimReg (https://arxiv.org/abs/2201.05131)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from .base import DistillLoss


@MODELS.register_module()
class SimRegLoss(DistillLoss):
    """Regression of the teacher's features.

    `SimReg <https://arxiv.org/abs/2201.05131>`_: squared distance of the
    L2-normalised features, 2 - 2 cos, mean over images, as in the released
    code. The formula is that of :class:`DisCoLoss`, but the method differs:
    the student predicts the features of the teacher's *backbone* through an
    MLP of four layers, which is discarded afterwards, and both networks see one
    weakly augmented view.

    Args:
        loss_weight (float): Factor of the mean over rows. Defaults to 1.
        views (Sequence[int], optional): Views that are distilled. Defaults to
            None, all.

    Example:
        >>> SimRegLoss()(torch.randn(4, 8), torch.randn(4, 8)).shape
        torch.Size([])
    """

    def __init__(
        self, loss_weight: float = 1.0, views: Sequence[int] | None = None
    ) -> None:
        super().__init__(loss_weight, views)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the loss of one view.

        Args:
            student (Tensor): Predictions, [N, D], of any norm.
            teacher (Tensor): Features of the same images, [N, D].

        Returns:
            Tensor: Scalar, fp32.
        """
        with torch.autocast(student.device.type, enabled=False):
            student = F.normalize(student.float(), dim=1)  # [N, D]
            teacher = F.normalize(teacher.float(), dim=1)
            distances = (student - teacher).square().sum(1)  # [N]
            return self.loss_weight * distances.mean()

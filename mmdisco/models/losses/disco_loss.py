"""DisCo's own loss (https://arxiv.org/abs/2104.09124)."""

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from .base import DistillLoss


@MODELS.register_module()
class DisCoLoss(DistillLoss):
    r"""Consistency of student and teacher embeddings of one view.

    Eq. 1 of `DisCo <https://arxiv.org/abs/2104.09124>`_ for one view:
    :math:`\frac{1}{N}\sum_i \|s_i - t_i\|^2` of L2-normalised rows.
    :class:`DisCo` sums the views.

    Args:
        loss_weight (float): Factor of the mean over rows. The released code
            sums over the local batch of 32 instead, which is a weight of 32;
            Eq. 2 as written is 1. Defaults to 1.
        norm_teacher (bool): Whether to L2-normalise the teacher's rows, too.
            The released code does not on the SwAV testbed. Defaults to True.
        adapter (dict, optional): ``in_features`` and ``out_features`` of a
            linear layer from the student's width to the teacher's, trained
            with the student and discarded afterwards. Defaults to None, no
            adapter.

    Example:
        >>> loss = DisCoLoss(adapter=dict(in_features=6, out_features=8))
        >>> loss(torch.randn(4, 6), torch.randn(4, 8)).shape
        torch.Size([])
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        norm_teacher: bool = True,
        adapter: dict | None = None,
    ) -> None:
        super().__init__(loss_weight, adapter=adapter)
        self.norm_teacher = norm_teacher

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the loss of one view.

        Args:
            student (Tensor): Embeddings, [N, D], of any norm; of another
                width if there is an adapter.
            teacher (Tensor): Embeddings of the same images, [N, D].

        Returns:
            Tensor: Scalar, fp32.
        """
        with torch.autocast(student.device.type, enabled=False):
            student, teacher = student.float(), teacher.float()  # [N, D]
            if self.adapter is not None:
                student = self.adapter(student)
            student = F.normalize(student, dim=1)
            if self.norm_teacher:
                teacher = F.normalize(teacher, dim=1)
            distances = (student - teacher).square().sum(1)  # [N]
            return self.loss_weight * distances.mean()

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from mmdisco.errors import InputError
from .base import DistillLoss


@MODELS.register_module()
class ATLoss(DistillLoss):
    """Attention transfer: where feature maps are active.

    `Paying More Attention to Attention <https://arxiv.org/abs/1612.03928>`_,
    activation-based, p = 2: the mean over channels of the squared map,
    flattened and L2-normalised. Maps of student and teacher are compared
    where they are equally large; of several maps of a size, the last.

    DisCo's released class computes the same of one pair, but is never called,
    so its layers and its weight are not known. A pair is a mean over
    positions, hence small: at most 4 / (H W).

    Args:
        loss_weight (float): Factor of the sum over pairs. Defaults to 1.
        views (Sequence[int], optional): Views that are distilled. Defaults to
            None, all.

    Example:
        >>> student = [torch.randn(4, 8, 7, 7)]
        >>> teacher = [torch.randn(4, 64, 7, 7)]
        >>> ATLoss(loss_weight=1000.0)(student, teacher).shape
        torch.Size([])
    """

    on = 'feat'
    any_width = True

    def __init__(
        self, loss_weight: float = 1.0, views: Sequence[int] | None = None
    ) -> None:
        super().__init__(loss_weight, views)

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Compute the loss of one view.

        Args:
            student (Sequence[Tensor]): Feature maps, [N, C, H, W] each.
            teacher (Sequence[Tensor]): Feature maps of the same images, with
                channels of their own.

        Returns:
            Tensor: Scalar, in fp32 whatever the inputs are.

        Raises:
            ValueError: If no maps are equally large.
        """
        ours, wanted = (
            {tuple(m.shape[2:]): m for m in maps} for maps in (student, teacher)
        )
        sizes = [size for size in ours if size in wanted]
        if not sizes:
            raise InputError(
                "ATLoss finds no two maps of a size: the student's are "
                f"{_sizes(student)}, the teacher's {_sizes(teacher)}"
            )
        with torch.autocast(student[0].device.type, enabled=False):
            losses = [
                F.mse_loss(attention(ours[size]), attention(wanted[size]))
                for size in sizes
            ]
            return self.loss_weight * sum(losses)


def attention(maps: Tensor) -> Tensor:
    """Unit vectors [N, H * W] of feature maps [N, C, H, W]."""
    return F.normalize(maps.float().square().mean(1).flatten(1), dim=1)


def _sizes(maps: Sequence[Tensor]) -> str:
    return ', '.join('x'.join(map(str, m.shape[2:])) for m in maps) or 'none'

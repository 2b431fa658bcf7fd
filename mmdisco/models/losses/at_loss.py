"""Attention transfer (https://arxiv.org/abs/1612.03928)."""

from collections.abc import Sequence
from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from mmdisco.errors import InputError
from .base import DistillLoss


@MODELS.register_module()
class ATLoss(DistillLoss):
    """Attention transfer: compares where feature maps are active.

    `Paying More Attention to Attention <https://arxiv.org/abs/1612.03928>`_,
    activation-based, p = 2: the mean over channels of the squared map,
    flattened and L2-normalised. Maps of equal size are compared, and the last
    one if a network has several of a size.

    DisCo's released class computes the same for one pair of maps but is never
    called, so its layers and weight are unknown. The term of a pair is a mean
    over positions, hence small: at most 4 / (H W).

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
            teacher (Sequence[Tensor]): Feature maps of the same images,
                [N, E, H, W] each.

        Returns:
            Tensor: Scalar, fp32.

        Raises:
            InputError: If no two maps have the same size.
        """
        maps, targets = (
            {tuple(m.shape[2:]): m for m in maps} for maps in (student, teacher)
        )
        sizes = [size for size in maps if size in targets]
        if not sizes:
            raise InputError(
                "ATLoss finds no two maps of the same size: the student's are "
                f"{_sizes(student)}, the teacher's {_sizes(teacher)}"
            )
        with torch.autocast(student[0].device.type, enabled=False):
            terms = (
                F.mse_loss(attention(maps[size]), attention(targets[size]))
                for size in sizes
            )
            return self.loss_weight * reduce(add, terms)


def attention(maps: Tensor) -> Tensor:
    """Turn feature maps [N, C, H, W] into unit vectors [N, H * W]."""
    return F.normalize(maps.float().square().mean(1).flatten(1), dim=1)


def _sizes(maps: Sequence[Tensor]) -> str:
    return ', '.join('x'.join(map(str, m.shape[2:])) for m in maps) or 'none'

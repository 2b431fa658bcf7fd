"""Mixup without labels."""

from collections.abc import Sequence

import torch
from torch import Tensor


def mix_views(views: Sequence[Tensor], alpha: float) -> list[Tensor]:
    """Mix each image with another image of the batch.

    `mixup <https://arxiv.org/abs/1710.09412>`_ with one share for the batch. All
    views of an image are mixed with those of the same other image by the same
    share, so that they remain views of one picture. Draws from torch's generator
    on the CPU, which :class:`EpochSeedHook` seeds by seed, epoch and rank.

    Args:
        views (Sequence[Tensor]): Normalised images, [N, 3, H, W] each.
        alpha (float): The share is drawn from Beta(alpha, alpha); 1 is uniform.

    Returns:
        list[Tensor]: Mixed images, [N, 3, H, W] each.
    """
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    order = torch.randperm(len(views[0])).to(views[0].device)  # [N]
    return [torch.lerp(view[order], view, share) for view in views]

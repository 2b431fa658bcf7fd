from collections.abc import Callable

import torch
from torch import Tensor, nn


@torch.no_grad()
def extract_features(
    backbone: nn.Module,
    images: Tensor,
    prepare: Callable[[Tensor], Tensor],
    batch_size: int = 500,
) -> Tensor:
    """Pooled features of a frozen backbone, in eval mode.

    Args:
        backbone (nn.Module): Gives a tuple of maps, the last one is taken.
        images (Tensor): uint8 images, [N, C, H, W].
        prepare (Callable): Normalises a batch of them.
        batch_size (int): Images at once. Defaults to 500.

    Returns:
        Tensor: Means over positions, fp32, [N, D].
    """
    training = backbone.training
    backbone.eval()
    feats = [
        backbone(prepare(batch))[-1].float().mean((2, 3))  # [B, D]
        for batch in images.split(batch_size)
    ]
    backbone.train(training)
    return torch.cat(feats)

"""InfoNCE of MoCo without copies of the queue."""

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class InfoNCEHead(nn.Module):
    """Cross entropy of one positive among many negatives, without copies.

    Equal to mmpretrain's ``ContrastiveHead`` with ``CrossEntropyLoss`` (Eq. 1
    of `MoCo <https://arxiv.org/abs/1911.05722>`_), but does not concatenate
    positives and negatives.

    Args:
        temperature (float): Temperature of the similarities. Defaults to 0.1.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def loss(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            pos (Tensor): Similarity to the positive key, [N, 1].
            neg (Tensor): Similarities to the negatives, [N, K].

        Returns:
            Tensor: Mean over the batch, a scalar.
        """
        pos = pos[:, 0] / self.temperature  # [N]
        others = torch.logsumexp(neg / self.temperature, 1)  # [N]
        return (torch.logaddexp(pos, others) - pos).mean()

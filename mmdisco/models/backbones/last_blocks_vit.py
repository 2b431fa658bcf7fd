"""Vision transformer for the linear evaluation of DINO, on several class tokens."""

import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class LastBlocksViT(VisionTransformer):
    """A vision transformer that returns the class tokens of several blocks.

    `DINO <https://arxiv.org/abs/2104.14294>`_ evaluates its ViT-S with a linear
    classifier on the class tokens of the last four blocks, each through the
    final norm, concatenated. Weights and arguments are those of
    ``VisionTransformer``: ``out_indices`` names the blocks, including the last,
    and ``out_type`` is 'cls_token'.
    """

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Embed images [N, 3, H, W] as one tensor, [N, blocks x D]."""
        *earlier, last = super().forward(x)  # each [N, D], the last is normed
        return (torch.cat([*map(self.ln1, earlier), last], dim=-1),)

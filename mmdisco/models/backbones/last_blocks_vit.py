import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class LastBlocksViT(VisionTransformer):
    """A vision transformer that gives the class tokens of several blocks.

    As `DINO <https://arxiv.org/abs/2104.14294>`_ evaluates its ViT-S by a
    linear classifier: those of the last four blocks, each through the final
    norm, side by side. Weights are those of ``VisionTransformer``, whose
    arguments these are; ``out_indices`` names the blocks, the last among them,
    and ``out_type`` is 'cls_token'.
    """

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Of images [N, 3, H, W]: one tensor, [N, blocks x D]."""
        *earlier, last = super().forward(x)  # each [N, D], the last is normed
        return (torch.cat([*map(self.ln1, earlier), last], dim=-1),)

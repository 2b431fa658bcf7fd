"""Projection head of DINO (https://arxiv.org/abs/2104.14294)."""

from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import normalize


@MODELS.register_module()
class DINONeck(BaseModule):
    """Projection head of DINO up to its normalised bottleneck.

    Three linear layers with GELU in between, then L2 normalisation
    (`DINO <https://arxiv.org/abs/2104.14294>`_, Appendix C). The
    weight-normalised layer of 65 536 outputs that follows in DINO is in
    :class:`DINOHead`: its rows act as prototypes, not as an embedding.

    Args:
        in_channels (int): Width of the backbone's feature.
        hid_channels (int): Width of both hidden layers. Defaults to 2048.
        out_channels (int): Width of the bottleneck. Defaults to 256.
        init_cfg (dict, optional): Initialization config. Defaults to None: a
            truncated normal of .02 and zero biases.
    """

    def __init__(
        self,
        in_channels: int,
        hid_channels: int = 2048,
        out_channels: int = 256,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            init_cfg or dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0)
        )
        self.mlp = nn.Sequential(
            nn.Linear(in_channels, hid_channels),
            nn.GELU(),
            nn.Linear(hid_channels, hid_channels),
            nn.GELU(),
            nn.Linear(hid_channels, out_channels),
        )

    def forward(self, x: tuple[Tensor]) -> tuple[Tensor]:
        """Embed the features of the backbone.

        Args:
            x (tuple[Tensor]): The last is the class token, [N, C], or a
                feature map, [N, C, H, W], which is averaged over positions.

        Returns:
            tuple[Tensor]: Unit vectors, [N, D].
        """
        feat = x[-1] if x[-1].dim() == 2 else x[-1].mean((2, 3))  # [N, C]
        return (normalize(self.mlp(feat), dim=1),)

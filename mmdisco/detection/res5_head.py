"""Shared head of C4 detectors."""

from collections.abc import Sequence

from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmpretrain.models import ResNet
from mmpretrain.models.backbones.resnet import Bottleneck, ResLayer
from torch import Tensor


@MODELS.register_module()
class Res5Head(BaseModule):
    """Apply the fourth stage of a student's ResNet to RoI features.

    In the C4 detectors of `MoCo <https://arxiv.org/abs/1911.05722>`_, which
    DisCo's transfer uses, box and mask heads share it, and an extra norm follows.
    mmdet's layer for it supports only the widths of the ResNet paper; this one
    supports any student's, and has the tensor names of its ``layer4``.

    Args:
        depth (int): 18, 34, 50, 101 or 152. Defaults to 34.
        base_channels (int): Base channels of the ResNet. Defaults to 64.
        extra_norm (bool): Append a norm. Defaults to True.
        bottleneck (bool): Use three bottleneck blocks for any depth, as
            detectron2 builds this stage. For a ResNet-18 or -34 most of their
            weights are then not in the checkpoint. Defaults to False.
        norm_cfg (dict): Config of norms. Defaults to SyncBN.
        init_cfg (dict or list[dict], optional): Initialisation. Defaults to
            None, kaiming-normal convolutions.

    Raises:
        ValueError: If ResNet has no such depth.
    """

    def __init__(
        self,
        depth: int = 34,
        base_channels: int = 64,
        extra_norm: bool = True,
        bottleneck: bool = False,
        norm_cfg: dict = dict(type='SyncBN'),
        init_cfg: dict | Sequence[dict] | None = None,
    ):
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer='_BatchNorm'),
            ]
        )
        if depth not in ResNet.arch_settings:
            raise ValueError(
                f'depth must be one of {list(ResNet.arch_settings)}, got {depth}'
            )
        block, blocks = ResNet.arch_settings[depth]
        expansion = 4 if block is Bottleneck else 1
        channels = 8 * base_channels * expansion
        self.layer4 = ResLayer(
            Bottleneck if bottleneck else block,
            3 if bottleneck else blocks[3],
            channels // 2,
            channels,
            expansion=expansion,
            stride=2,
            norm_cfg=norm_cfg,
        )
        if extra_norm:
            self.norm = build_norm_layer(norm_cfg, channels)[1]
        self.extra_norm = extra_norm

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features, [R, C, H, W], to [R, 2C, H / 2, W / 2]."""
        x = self.layer4(x)
        return self.norm(x) if self.extra_norm else x

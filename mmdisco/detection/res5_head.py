from collections.abc import Sequence

from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmpretrain.models import ResNet
from mmpretrain.models.backbones.resnet import Bottleneck, ResLayer
from torch import Tensor


@MODELS.register_module()
class Res5Head(BaseModule):
    """The fourth stage of a student's ResNet on features of regions.

    In the C4 detectors of `MoCo <https://arxiv.org/abs/1911.05722>`_, by which
    DisCo transfers, it is shared by the heads of boxes and masks, and followed
    by an extra norm. mmdet's and mmpretrain's layers for it have the paper's
    widths only; this one has any student's, and the tensors of its ``layer4``.

    Args:
        depth (int): 18, 34, 50, 101 or 152. Defaults to 34.
        base_channels (int): Of the ResNet: 64 in those of the paper.
            Defaults to 64.
        extra_norm (bool): Append a norm. Defaults to True.
        bottleneck (bool): Three bottleneck blocks, whatever the depth, as
            detectron2 builds this stage. Of a ResNet-18 or -34 most of it is
            then not in the checkpoint. Defaults to False.
        norm_cfg (dict): Defaults to SyncBN.
        init_cfg (dict or list[dict], optional): Defaults to None, which
            stands for kaiming-normal convolutions.
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
                f'depth is one of {list(ResNet.arch_settings)}, got {depth}'
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
        """Of regions [R, C, H, W]: [R, 2 C, H / 2, W / 2]."""
        x = self.layer4(x)
        return self.norm(x) if self.extra_norm else x

"""MobileNetV3 with the features behind its pooling, as in the paper."""

from collections.abc import Sequence

from mmpretrain.models import MobileNetV3
from mmpretrain.registry import MODELS
from torch import nn


@MODELS.register_module()
class MobileNetV3Pooled(MobileNetV3):
    """MobileNetV3-Large with the 1280 features after the pooling.

    mmpretrain's backbone ends at 960 channels and has the layer of 1280
    channels in its classification head. The paper's 4.2 M parameters count this
    layer as backbone, as timm does (pooling, 1x1 convolution with bias,
    hard-swish), and it is deployed with the backbone. Here it is stage 17, with
    an output of [N, 1280, 1, 1].

    Args:
        out_indices (Sequence[int]): Stages to return, 0 to 17.
            Defaults to (17, ).
        norm_cfg (dict): Config of BN. Defaults to timm's, which the paper
            uses.
        frozen_stages (int): Stages up to this one are frozen, -1 for none.
            Defaults to -1.
        norm_eval (bool): Keep BN in eval mode. Defaults to False.
        init_cfg (dict or list[dict], optional): Initialization config.
            Defaults to None: kaiming-normal convolutions.
        conv_cfg (dict, optional): ``dict(type='Conv2dAdaptivePadding')`` pads
            as TensorFlow does. Defaults to None: equal padding on both sides.

    Raises:
        ValueError: If an index or ``frozen_stages`` is not a stage.
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (17,),
        norm_cfg: dict = dict(type='BN', eps=1e-5, momentum=0.1),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | Sequence[dict] | None = None,
        conv_cfg: dict | None = None,
    ):
        if init_cfg is None:
            init_cfg = [
                dict(type='Kaiming', layer='Conv2d', nonlinearity='relu'),
                dict(type='Constant', layer='BatchNorm2d', val=1),
            ]
        super().__init__(
            'large',
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        if not set(out_indices) <= set(range(18)):
            raise ValueError(f'out_indices are 0 to 17, got {out_indices}')
        if frozen_stages not in range(-1, 18):
            raise ValueError(f'frozen_stages is -1 to 17, got {frozen_stages}')
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        self.layer17 = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(960, 1280, 1), nn.Hardswish()
        )
        self.layers.append('layer17')
        self.feat_dim = 1280

"""Feature pyramid of plain vision transformers."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmpretrain.models.utils import LayerNorm2d
from torch import Tensor, nn

from mmdisco.errors import InputError

STRIDES = (4, 8, 16, 32)
_EPS = 1e-6


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Build a pyramid from the single map of a plain vision transformer.

    Deconvolutions or a max pooling bring the map of stride 16 to each stride; a
    1x1 and a 3x3 convolution follow, each with a layer norm over channels. The
    levels are independent of each other.

    See `Exploring Plain Vision Transformer Backbones for Object Detection
    <https://arxiv.org/abs/2203.16527>`_.

    Args:
        in_channels (int): Channels of the map.
        out_channels (int): Channels of each level. Defaults to 256.
        strides (Sequence[int]): Strides of the levels, consecutive ones of 4, 8,
            16 and 32. Defaults to all four.
        num_outs (int): Number of output levels. Those beyond ``strides`` are
            made from the level before at half its size. Defaults to 5.
        add_extra_convs (bool): Make these by 3x3 convolutions, as RetinaNet's
            P6 and P7, or by subsampling, as in Faster R-CNN. Defaults to False,
            subsampling.
        init_cfg (dict or list[dict], optional): Initialisation. Defaults to
            None, PyTorch's.

    Raises:
        InputError: If strides are not consecutive, ``num_outs`` is too small, or
            the channels are not divisible for the deconvolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        strides: Sequence[int] = STRIDES,
        num_outs: int = 5,
        add_extra_convs: bool = False,
        init_cfg: dict | Sequence[dict] | None = None,
    ):
        super().__init__(init_cfg)
        _check(in_channels, tuple(strides), num_outs)
        self.levels = nn.ModuleList(
            nn.Sequential(
                *_rescale(stride, in_channels),
                *_project(_width(stride, in_channels), out_channels),
            )
            for stride in strides
        )
        self.extra_convs = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, stride=2, padding=1)
            for _ in range((num_outs - len(strides)) * add_extra_convs)
        )
        self.num_outs = num_outs

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Make the pyramid.

        Args:
            inputs (Sequence[Tensor]): One map, [N, C, H / 16, W / 16]; H and W
                must be multiples of 32.

        Returns:
            tuple[Tensor]: ``num_outs`` maps, [N, out_channels, H / s, W / s],
            where s starts at ``strides[0]`` and doubles with each level.

        Raises:
            InputError: If the backbone returns several maps.
        """
        if len(inputs) != 1:
            raise InputError(
                'SimpleFeaturePyramid takes one map of stride 16, but the '
                f'backbone returns {len(inputs)}: set a single out_indices'
            )
        outs = [level(inputs[0]) for level in self.levels]
        for conv in self.extra_convs:
            outs.append(conv(outs[-1]))
        while len(outs) < self.num_outs:
            outs.append(F.max_pool2d(outs[-1], 1, stride=2))
        return tuple(outs)


def _check(in_channels: int, strides: tuple[int, ...], num_outs: int) -> None:
    if not strides or strides not in [
        STRIDES[i : i + len(strides)] for i in range(len(STRIDES))
    ]:
        raise InputError(
            'strides of SimpleFeaturePyramid must be consecutive ones '
            f'of {STRIDES}, got {strides}'
        )
    if num_outs < len(strides):
        raise InputError(
            f'num_outs={num_outs} is less than the number of strides '
            f'{strides}: remove strides'
        )
    # each deconvolution halves the channels
    halvings = max(16 // strides[0], 1)
    if in_channels < 1 or in_channels % halvings:
        raise InputError(
            f'in_channels={in_channels} is not a multiple of '
            f'{halvings}, as stride {strides[0]} requires'
        )


def _width(stride: int, channels: int) -> int:
    return channels * min(stride, 16) // 16


def _rescale(stride: int, channels: int) -> list[nn.Module]:
    """Build the layers that bring stride 16 to another one."""
    half, quarter = channels // 2, channels // 4
    if stride == 4:
        return [
            nn.ConvTranspose2d(channels, half, 2, stride=2),
            LayerNorm2d(half, eps=_EPS),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        ]
    if stride == 8:
        return [nn.ConvTranspose2d(channels, half, 2, stride=2)]
    return [nn.MaxPool2d(2)] if stride == 32 else []


def _project(channels: int, out_channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out_channels, 1, bias=False),
        LayerNorm2d(out_channels, eps=_EPS),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        LayerNorm2d(out_channels, eps=_EPS),
    ]

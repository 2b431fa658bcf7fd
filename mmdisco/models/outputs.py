"""Deployed networks: a backbone with the outputs that its user needs."""

from argparse import ArgumentTypeError
from typing import Any

import torch
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from mmdisco.errors import InputError
from .backbones import TimmNetwork, TorchvisionNetwork
from .backbones.library_maps import library_maps

STRIDES = (4, 8, 16, 32)


def _keep(backbone: BaseBackbone, stages: int) -> None:
    """All stages of a ResNet make maps."""


def _cut_list(backbone: BaseBackbone, stages: int) -> None:
    del backbone.layers[stages:]


def _cut_named(backbone: BaseBackbone, stages: int) -> None:
    for name in backbone.layers[stages:]:
        delattr(backbone, name)
    del backbone.layers[stages:]


# By class: the last stage at each stride, and how to remove the stages after
# them, which only a classifier uses.
_STAGES = dict(
    ResNet=((0, 1, 2, 3), _keep),
    EfficientNet=((2, 3, 4, 5), _cut_list),
    MobileNetV3Pooled=((3, 6, 12, 16), _cut_named),
)


class Pooled(nn.Module):
    """A backbone with one vector per image, the input of a linear probe.

    Args:
        backbone (nn.Module): Returns a tuple; its last element is used.
    """

    names = ('features',)

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Embed images.

        Args:
            images (Tensor): Normalised images, [N, 3, H, W].

        Returns:
            tuple[Tensor]: Means over positions, or class tokens, [N, C].
        """
        last = self.backbone(images)[-1]
        return (last if last.dim() == 2 else last.mean((2, 3)),)


class FeatureMaps(nn.Module):
    """A convolutional backbone with the feature maps that a detector uses.

    The backbone is changed: the stages after the last of these maps are removed.

    Args:
        backbone (nn.Module): A ResNet, EfficientNet or MobileNetV3Pooled, or a
            network of timm or torchvision, which is copied.

    Raises:
        InputError: If it is another network, or has no such maps.
    """

    names = tuple(f'stride{stride}' for stride in STRIDES)

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        if isinstance(backbone, (TimmNetwork, TorchvisionNetwork)):
            self.backbone: nn.Module = library_maps(backbone)
            return
        kind = type(backbone).__name__
        if kind not in _STAGES:
            raise InputError(
                f'{kind} has no feature maps for a detector, '
                f'but {", ".join(_STAGES)} do, and networks of timm and torchvision'
            )
        stages, cut = _STAGES[kind]
        cut(backbone, stages[-1] + 1)
        backbone.out_indices = stages
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            images (Tensor): Normalised images, [N, 3, H, W].

        Returns:
            tuple[Tensor]: [N, C, H / s, W / s] for s in 4, 8, 16, 32.
        """
        return self.backbone(images)


def image_size(text: str) -> int:
    """Parse the height and width of images, an option of tools.

    Raises:
        ArgumentTypeError: If it is not a positive integer.
    """
    if not (text.isdecimal() and int(text)):
        raise ArgumentTypeError(f"'{text}' is not a number of pixels")
    return int(text)


def outputs_of(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Run a network once to check that it takes images of this size.

    Args:
        network (nn.Module): :class:`Pooled` or :class:`FeatureMaps`.
        images (Tensor): [N, 3, H, W].

    Raises:
        InputError: If it does not take them.
    """
    try:
        with torch.no_grad():
            return network(images)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).strip().split('\n')[-1]
        raise InputError(
            f'the network does not take images of {images.shape[-1]} pixels: {reason}'
        ) from error

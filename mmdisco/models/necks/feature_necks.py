"""Necks without weights: what is distilled of a network without a head."""

from typing import Any

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from ..backbones import TimmNetwork


class FeatureNeck(BaseModule):
    """Base of the necks that select a feature of a network without a head.

    Args:
        in_channels (int): Width of the selected feature in the backbone.

    Attributes:
        out_channels (int): Width of the output.
    """

    needs_class_token = False
    parts = 1  # features side by side

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = in_channels * self.parts

    def check(self, backbone: nn.Module) -> None:
        """Check that a backbone has this feature, in this width.

        Args:
            backbone (nn.Module): Backbone of the same teacher.

        Raises:
            InputError: If it does not.
        """
        name = type(self).__name__
        if not isinstance(backbone, TimmNetwork):
            raise InputError(
                f'{name} selects a feature of TimmNetwork, the backbone is '
                f'{type(backbone).__name__}: use GlobalAveragePooling or a '
                'projection head'
            )
        if backbone.pooled_only:
            raise InputError(
                f"{name} needs tokens, timm's '{backbone.name}' returns its pooled "
                'feature alone: set pooled_only=False in the backbone'
            )
        if self.needs_class_token and not backbone.has_class_token:
            raise InputError(
                f"{name} needs a class token, timm's '{backbone.name}' has none: "
                'use PooledNeck'
            )
        if self.needs_class_token and not backbone.has_final_norm:
            raise InputError(
                f"{name} needs a norm behind the tokens, timm's '{backbone.name}' has "
                'it behind their mean: use PooledNeck'
            )
        self._check_width(backbone.feat_channels, f"timm's '{backbone.name}'")

    def _check_width(self, width: int, name: str) -> None:
        if width != self.in_channels:
            raise InputError(
                f'{type(self).__name__} has in_channels={self.in_channels}, the '
                f'feature of {name} is {width} wide: set in_channels={width}'
            )


@MODELS.register_module()
class ClassTokenNeck(FeatureNeck):
    """The class token behind the last norm, [N, C].

    Args:
        in_channels (int): Width C of the tokens.
    """

    needs_class_token = True

    def forward(self, x: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Select the class token of :class:`TimmNetwork`'s outputs."""
        return (x[1],)


@MODELS.register_module()
class PooledNeck(FeatureNeck):
    """The feature as the library of the network pools it, [N, P].

    Of timm it is what its users get by ``num_classes=0``: behind the pooling of the
    network (mean, class token, attention) and all layers before the classifier; of
    torchvision, the input of the classifier. Of other backbones it is the last
    output, or its mean over positions if that is a map.

    Args:
        in_channels (int): Width P of the pooled feature.
    """

    def check(self, backbone: nn.Module) -> None:
        """Check the width of the feature, as far as the backbone states it.

        Args:
            backbone (nn.Module): Backbone of the same teacher.

        Raises:
            InputError: If the feature has another width.
        """
        width: Any = getattr(backbone, 'pooled_channels', None)
        if width is not None:
            self._check_width(width, f"'{getattr(backbone, 'name', '')}'")

    def forward(self, x: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Select the last of a backbone's outputs, pooled.

        Raises:
            InputError: If it has another width, or is neither a vector nor a map.
        """
        feature = x[-1]
        if isinstance(feature, Tensor) and feature.dim() == 4:
            feature = feature.mean((2, 3))
        if not isinstance(feature, Tensor) or feature.dim() != 2:
            shape = getattr(feature, 'shape', None)
            raise InputError(
                'PooledNeck needs a vector [N, P] or a map [N, P, h, w], the backbone '
                f'returns {type(feature).__name__ if shape is None else list(shape)}'
            )
        self._check_width(feature.shape[1], 'the backbone')
        return (feature,)


@MODELS.register_module()
class ClassAndPatchNeck(FeatureNeck):
    """Class token and mean of the patch tokens, side by side, [N, 2C].

    The input of the linear classifiers of `DINOv2
    <https://arxiv.org/abs/2304.07193>`_ with one layer.

    Args:
        in_channels (int): Width C of the tokens.
    """

    needs_class_token = True
    parts = 2

    def forward(self, x: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Concatenate features of :class:`TimmNetwork`'s outputs."""
        if not x[0].numel():  # PiT's last block returns the class token alone
            raise InputError(
                'ClassAndPatchNeck needs patch tokens, and the network returns none '
                'behind its last layer: use ClassTokenNeck'
            )
        return (torch.cat([x[1], x[0].mean((2, 3))], dim=1),)

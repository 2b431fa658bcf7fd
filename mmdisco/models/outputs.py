"""What is deployed: a backbone with the outputs that its user needs."""

from argparse import ArgumentTypeError

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError

STRIDES = (4, 8, 16, 32)


def _keep(backbone: nn.Module, stages: int) -> None:
    """All stages of a ResNet make maps."""


def _cut_list(backbone: nn.Module, stages: int) -> None:
    del backbone.layers[stages:]


def _cut_named(backbone: nn.Module, stages: int) -> None:
    for name in backbone.layers[stages:]:
        delattr(backbone, name)
    del backbone.layers[stages:]


# By class: the last stage at each stride, and how to take off what follows.
# That is a layer for classification, of which a detector has no use.
_STAGES = dict(
    ResNet=((0, 1, 2, 3), _keep),
    EfficientNet=((2, 3, 4, 5), _cut_list),
    MobileNetV3Pooled=((3, 6, 12, 16), _cut_named),
)


class Pooled(nn.Module):
    """A backbone with one vector per image: what a linear probe gets.

    Args:
        backbone (nn.Module): Gives a tuple, of which the last one counts.
    """

    names = ('features',)

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Embed images.

        Args:
            images (Tensor): Normalised, [N, 3, H, W].

        Returns:
            tuple[Tensor]: Means over positions, or class tokens, [N, C].
        """
        last = self.backbone(images)[-1]
        return (last if last.dim() == 2 else last.mean((2, 3)),)


class FeatureMaps(nn.Module):
    """A convolutional backbone with the maps that a detector takes.

    The backbone is changed: it ends behind the last of these maps.

    Args:
        backbone (nn.Module): A ResNet, EfficientNet or MobileNetV3Pooled.

    Raises:
        InputError: If it is another one.
    """

    names = tuple(f'stride{stride}' for stride in STRIDES)

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        kind = type(backbone).__name__
        if kind not in _STAGES:
            raise InputError(
                f'{kind} has no feature maps for a detector, '
                f'but {", ".join(_STAGES)} do'
            )
        stages, cut = _STAGES[kind]
        cut(backbone, stages[-1] + 1)
        backbone.out_indices = stages
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            images (Tensor): Normalised, [N, 3, H, W].

        Returns:
            tuple[Tensor]: [N, C, H / s, W / s] for s in 4, 8, 16, 32.
        """
        return self.backbone(images)


def image_size(text: str) -> int:
    """Height and width of images as tools are told it.

    Raises:
        ArgumentTypeError: If it is no positive number.
    """
    if not (text.isdecimal() and int(text)):
        raise ArgumentTypeError(f"'{text}' is no number of pixels")
    return int(text)


def outputs_of(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Run a network once, to see that it takes such images.

    Args:
        network (nn.Module): :class:`Pooled` or :class:`FeatureMaps`.
        images (Tensor): [N, 3, H, W].

    Raises:
        InputError: If it does not.
    """
    try:
        with torch.no_grad():
            return network(images)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).strip().split('\n')[-1]
        raise InputError(
            f'the network does not take images of {images.shape[-1]} pixels: {reason}'
        ) from error

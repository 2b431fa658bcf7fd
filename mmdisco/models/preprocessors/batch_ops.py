"""Colour and blur of a batch: float RGB images in [0, 1], [N, 3, H, W]."""

import torch
from kornia import enhance
from kornia.filters import filter2d_separable
from torchvision.transforms.functional import rgb_to_grayscale


def adjust_hue(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn the hue, each image by its own angle.

    As torchvision's and kornia's, in a third and a quarter of their time: the
    largest and the smallest channel stay, and each channel lies between them
    at a place that is a triangular wave of the hue.

    Args:
        images (torch.Tensor): [N, 3, H, W].
        turns (torch.Tensor): -.5 to .5, [N].

    Returns:
        torch.Tensor: [N, 3, H, W].
    """
    red, green, blue = images.unbind(1)  # [N, H, W] each
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    spread = high - low
    sixth = spread.clamp_min(1e-8).reciprocal_().div_(6)
    hue = torch.where(
        high == red,
        (green - blue) * sixth,
        torch.where(
            high == green, (blue - red) * sixth + 2 / 6, (red - green) * sixth + 4 / 6
        ),
    )
    hue.add_(turns.view(-1, 1, 1) + 1)  # positive, for frac
    out = torch.empty_like(images)
    for channel, shift in enumerate((0, 4 / 6, 2 / 6)):
        place = (hue + shift).frac_().sub_(0.5).abs_().mul_(6).sub_(1)
        torch.addcmul(low, place.clamp_(0, 1), spread, out=out[:, channel])
    return out


# by their numbers in ViewParams.order
JITTER_PARTS = (
    enhance.adjust_brightness_accumulative,
    enhance.adjust_contrast_with_mean_subtraction,
    enhance.adjust_saturation_with_gray_subtraction,
    adjust_hue,
)


def to_gray(images: torch.Tensor) -> torch.Tensor:
    """Three equal channels."""
    return rgb_to_grayscale(images, num_output_channels=3)


def gaussian_blur(images: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Blur each image with its kernel [N, K], repeating the border."""
    return filter2d_separable(images, kernels, kernels, 'replicate')


def solarize(images: torch.Tensor) -> torch.Tensor:
    """Invert values of 128 / 255 and above."""
    return torch.where(images < 128 / 255, images, 1 - images)


def mirror(images: torch.Tensor) -> torch.Tensor:
    """Swap left and right."""
    return images.flip(-1)

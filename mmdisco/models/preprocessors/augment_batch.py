"""Colour, blur and flip of a batch: float RGB images in [0, 1], [N, 3, H, W]."""

from collections.abc import Callable

import torch
from kornia import enhance
from kornia.filters import filter2d_separable
from torch import Tensor
from torchvision.transforms.functional import rgb_to_grayscale

from mmdisco.datasets.transforms import ViewParams, pil_gaussian_kernel

# a function of images, or of images and values; indices of images; the values
Step = tuple[Callable[..., Tensor], Tensor, Tensor | None]


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of each image by its own angle.

    As torchvision and kornia do, in a third and a quarter of their time: the
    largest and the smallest channel stay, and each channel lies between them
    at a place that is a triangular wave of the hue.

    Args:
        images (Tensor): [N, 3, H, W].
        turns (Tensor): -.5 to .5, [N].

    Returns:
        Tensor: [N, 3, H, W].
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


# indexed by ViewParams.order
JITTER_PARTS = (
    enhance.adjust_brightness_accumulative,
    enhance.adjust_contrast_with_mean_subtraction,
    enhance.adjust_saturation_with_gray_subtraction,
    adjust_hue,
)


def to_gray(images: Tensor) -> Tensor:
    """Three equal channels."""
    return rgb_to_grayscale(images, num_output_channels=3)


def gaussian_blur(images: Tensor, kernels: Tensor) -> Tensor:
    """Blur each image with its kernel [N, K], with a replicated border."""
    return filter2d_separable(images, kernels, kernels, 'replicate')


def solarize(images: Tensor) -> Tensor:
    """Invert values of 128 / 255 and above."""
    return torch.where(images < 128 / 255, images, 1 - images)


def mirror(images: Tensor) -> Tensor:
    """Swap left and right."""
    return images.flip(-1)


def augment_(images: Tensor, params: ViewParams) -> Tensor:
    """Augment each image by its own parameters, in place.

    Args:
        images (Tensor): [N, 3, H, W].
        params (ViewParams): Parameters of N views, on the CPU.

    Returns:
        Tensor: The same images.
    """
    for function, index, values in _upload(_steps(params), images.device):
        part = images.index_select(0, index)
        part = function(part) if values is None else function(part, values)
        images.index_copy_(0, index, part)
    return images


def _steps(params: ViewParams) -> list[Step]:
    """Operations and the image indices they apply to, in order."""
    steps: list[Step] = []
    for place in range(4):
        for number, part in enumerate(JITTER_PARTS):
            index = (params.jitter & (params.order[:, place] == number)).nonzero()[:, 0]
            steps.append((part, index, params.factors[index, number]))
    steps.append((to_gray, params.gray.nonzero()[:, 0], None))
    index = params.blur.nonzero()[:, 0]
    sigma = params.sigma[index].numpy()
    kernels = torch.from_numpy(pil_gaussian_kernel(sigma, sigma.max(initial=0.1)))
    steps.append((gaussian_blur, index, kernels))
    steps.append((solarize, params.solarize.nonzero()[:, 0], None))
    steps.append((mirror, params.flip.nonzero()[:, 0], None))
    return [step for step in steps if len(step[1])]


def _upload(steps: list[Step], device: torch.device) -> list[Step]:
    """The same on the device, in two copies that do not block the host."""
    indices = [index for _, index, _ in steps]
    values = [value for _, _, value in steps if value is not None]
    moved = []
    for tensors in (indices, values):
        flat = torch.cat([t.flatten() for t in tensors] or [torch.empty(0)])
        flat = flat.pin_memory() if device.type == 'cuda' else flat
        parts = flat.to(device, non_blocking=True).split([t.numel() for t in tensors])
        moved.append(iter([p.view(t.shape) for p, t in zip(parts, tensors)]))
    return [
        (function, next(moved[0]), None if value is None else next(moved[1]))
        for function, _, value in steps
    ]

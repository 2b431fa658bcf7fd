"""Comparison of an exported network with the original one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmdisco.errors import InputError

TOLERANCE = 1e-4  # as a fraction of an output's largest entry
# A network that amplifies rounding (BN of nearly constant channels does) may
# differ by more: OWN_ROUNDING times the effect of the pixels' last bit on the
# original network, at most AT_MOST of the largest entry.
OWN_ROUNDING, AT_MOST = 10, 1e-2
TRACED = 2  # images in the batch for tracing
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet


class Agreement(NamedTuple):
    """Difference of two networks on a batch, at the worst output."""

    images: int
    error: float  # largest absolute difference
    allowed: float
    largest: float  # largest absolute entry of the output


def photographs(size: int) -> Tensor:
    """Left and right part of scikit-learn's two photographs, ImageNet-normalised.

    Args:
        size (int): H and W, in pixels.

    Returns:
        Tensor: Normalised, [4, 3, H, W].
    """
    # local: this import takes most of a second
    from sklearn.datasets import load_sample_images

    photos = torch.stack(
        [
            torch.tensor(photo).permute(2, 0, 1) / 255
            for photo in load_sample_images().images
        ]
    )  # [2, 3, 427, 640]
    side = photos.shape[2]
    tiles = torch.cat([photos[..., :side], photos[..., -side:]])
    tiles = interpolate(
        tiles, size=(size, size), mode='bilinear', antialias=True, align_corners=False
    )
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (_MEAN, _STD))
    return (tiles - mean) / std


def random_images(num: int, size: int, seed: int = 0) -> Tensor:
    """Normal noise from a fixed seed, [N, 3, H, W]."""
    return torch.randn(num, 3, size, size, generator=_generator(seed))


def _last_bit(images: Tensor) -> Tensor:
    """Perturb the last bit of each pixel."""
    noise = 2 * torch.rand(images.shape, generator=_generator(1)) - 1
    return images * (1 + torch.finfo(images.dtype).eps * noise)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def agree(
    network: nn.Module, run: Callable[[Tensor], tuple[Tensor, ...]], images: Tensor
) -> Agreement:
    """Compare two networks on a batch.

    Args:
        network (nn.Module): The reference; returns a tuple of tensors.
        run (Callable): The network to compare with it.
        images (Tensor): [N, 3, H, W].

    Returns:
        Agreement: Of the output with the largest ratio of error to allowed
            error.

    Raises:
        InputError: If ``run`` fails, number or shapes of the outputs differ,
            or an entry differs by more than allowed.
    """
    try:
        with torch.no_grad():
            expected, actual = network(images), tuple(run(images))
            perturbed = network(_last_bit(images))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split('\n')[-1]
        raise InputError(
            f'it cannot run on {len(images)} images of '
            f'{images.shape[-1]} pixels: {reason}'
        ) from error
    shapes = [[list(x.shape) for x in y] for y in (expected, actual)]
    if shapes[0] != shapes[1]:
        raise InputError(f'its outputs have shapes {shapes[1]}, expected {shapes[0]}')
    pairs = []
    for a, b, c in zip(expected, actual, perturbed):
        difference, rounding, largest = (
            x.abs().max().item() for x in (a - b, a - c, a)
        )
        allowed = max(
            TOLERANCE * largest, min(OWN_ROUNDING * rounding, AT_MOST * largest)
        )
        pairs.append(Agreement(len(images), difference, allowed, largest))
    for pair in pairs:
        if not pair.error <= pair.allowed:  # also False for NaN
            raise InputError(
                f'its outputs differ by {pair.error:.1e} on {len(images)} '
                f'images, {pair.allowed:.1e} is allowed'
            )
    return max(pairs, key=lambda pair: pair.error / (pair.allowed or 1))


def agreements(
    network: nn.Module, run: Callable[[Tensor], tuple[Tensor, ...]], size: int
) -> dict[str, Agreement]:
    """Compare two networks on noise and on photographs.

    The batch sizes differ from the traced one.

    Args:
        network (nn.Module): The reference; returns a tuple of tensors.
        run (Callable): The network to compare with it.
        size (int): Height and width of images.

    Raises:
        InputError: See :func:`agree`.
    """
    return {
        'noise': agree(network, run, random_images(TRACED + 1, size)),
        'photographs': agree(network, run, photographs(size)),
    }


def report_lines(compared: dict[str, Agreement]) -> list[str]:
    """Lines of a report about :func:`agreements`."""
    return [
        f'  {name:<12} max error {result.error:.1e} in a batch of {result.images}'
        f' (traced with {TRACED}); {result.allowed:.1e} is allowed, '
        f'{result.allowed / (result.largest or 1):.0e} of the largest entry'
        for name, result in compared.items()
    ]

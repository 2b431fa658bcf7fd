"""Whether a written network is the one that it was made of."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmdisco.errors import InputError

TOLERANCE = 1e-4  # of the largest entry of an output
# A network that magnifies rounding (BN of channels that hardly vary does) may
# differ by more, as it does from itself: so many times what the last bit of
# the pixels changes, up to this part of the largest entry.
OWN_ROUNDING, AT_MOST = 10, 1e-2
TRACED = 2  # images in the batch that a network is traced with
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class Agreement(NamedTuple):
    """How far two networks are apart on a batch, at their worst output."""

    images: int
    error: float  # largest absolute one
    allowed: float
    largest: float  # entry


def photographs(size: int) -> Tensor:
    """Both sides of scikit-learn's two photographs, as ImageNet's images.

    Args:
        size (int): H and W, in pixels.

    Returns:
        Tensor: Normalised, [4, 3, H, W].
    """
    # takes most of a second, which most users of this package don't need
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
    """Normal noise, always the same: [N, 3, H, W]."""
    return torch.randn(num, 3, size, size, generator=_generator(seed))


def _last_bit(images: Tensor) -> Tensor:
    """The images, each pixel rounded another way."""
    noise = 2 * torch.rand(images.shape, generator=_generator(1)) - 1
    return images * (1 + torch.finfo(images.dtype).eps * noise)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def agree(
    network: nn.Module, run: Callable[[Tensor], tuple[Tensor, ...]], images: Tensor
) -> Agreement:
    """Compare two networks on a batch.

    Args:
        network (nn.Module): What counts; gives a tuple of tensors.
        run (Callable): What is compared with it.
        images (Tensor): [N, 3, H, W].

    Returns:
        Agreement: Of the output where the error is the largest part of what
            is allowed.

    Raises:
        InputError: If it can't be run, number or shapes of the outputs
            differ, or an entry differs by more than is allowed.
    """
    try:
        with torch.no_grad():
            expected, found = network(images), tuple(run(images))
            rounded = network(_last_bit(images))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split('\n')[-1]
        raise InputError(
            f'it can not be run on {len(images)} images of '
            f'{images.shape[-1]} pixels: {reason}'
        ) from error
    shapes = [[list(x.shape) for x in y] for y in (expected, found)]
    if shapes[0] != shapes[1]:
        raise InputError(f'its outputs are {shapes[1]}, they should be {shapes[0]}')
    pairs = []
    for a, b, c in zip(expected, found, rounded):
        error, own, largest = (x.abs().max().item() for x in (a - b, a - c, a))
        allowed = max(TOLERANCE * largest, min(OWN_ROUNDING * own, AT_MOST * largest))
        pairs.append(Agreement(len(images), error, allowed, largest))
    for pair in pairs:
        if not pair.error <= pair.allowed:  # neither is NaN
            raise InputError(
                f'its outputs differ by {pair.error:.1e} on {len(images)} '
                f'images, {pair.allowed:.1e} is allowed'
            )
    return max(pairs, key=lambda pair: pair.error / (pair.allowed or 1))


def agreements(
    network: nn.Module, run: Callable[[Tensor], tuple[Tensor, ...]], size: int
) -> dict[str, Agreement]:
    """Compare on noise and on photographs, in batches of other sizes than
    the traced one; arguments and errors as of :func:`agree`."""
    return {
        'noise': agree(network, run, random_images(TRACED + 1, size)),
        'photographs': agree(network, run, photographs(size)),
    }

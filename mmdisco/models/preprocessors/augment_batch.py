from collections.abc import Callable

import torch

from mmdisco.datasets.transforms import ViewParams, pil_gaussian_kernel
from . import batch_ops as ops

# a function of images, or of images and values; whom it is for; the values
Step = tuple[Callable, torch.Tensor, torch.Tensor | None]


def augment_(images: torch.Tensor, params: ViewParams) -> torch.Tensor:
    """Do to each image what was drawn for it, in place.

    Args:
        images (torch.Tensor): Float RGB in [0, 1], [N, 3, H, W].
        params (ViewParams): Of N views, on the CPU.

    Returns:
        torch.Tensor: The same images.
    """
    for function, index, values in _upload(_steps(params), images.device):
        part = images.index_select(0, index)
        part = function(part) if values is None else function(part, values)
        images.index_copy_(0, index, part)
    return images


def _steps(params: ViewParams) -> list[Step]:
    """What to do to whom, in order."""
    steps = []
    for place in range(4):
        for number, part in enumerate(ops.JITTER_PARTS):
            index = (params.jitter & (params.order[:, place] == number)).nonzero()[:, 0]
            steps.append((part, index, params.factors[index, number]))
    steps.append((ops.to_gray, params.gray.nonzero()[:, 0], None))
    index = params.blur.nonzero()[:, 0]
    sigma = params.sigma[index].numpy()
    steps.append(
        (
            ops.gaussian_blur,
            index,
            torch.from_numpy(pil_gaussian_kernel(sigma, sigma.max(initial=0.1))),
        )
    )
    steps.append((ops.solarize, params.solarize.nonzero()[:, 0], None))
    steps.append((ops.mirror, params.flip.nonzero()[:, 0], None))
    return [step for step in steps if len(step[1])]


def _upload(steps: list[Step], device: torch.device) -> list[Step]:
    """The same on the device, by two copies that the host doesn't await."""
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

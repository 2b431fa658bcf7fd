"""Fusing of branches and batch norms for deployment."""

import logging
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .teacher import Pair, fold, norm_pairs

_TOLERANCE = 1e-4  # as a fraction of an output's largest entry
# Methods that fuse a module in the code of timm, mmpretrain and others; the first
# one returns the fused module, or None if it changes the module in place.
_METHODS = ('fuse', 'reparameterize', 'switch_to_deploy')


def _method_of(module: nn.Module) -> Callable[[], Any] | None:
    found = (getattr(module, name, None) for name in _METHODS)
    return next(filter(callable, found), None)


def can_fuse_branches(network: nn.Module) -> bool:
    """Whether a network has modules that fuse their branches, e.g. RepViT's."""
    return any(_method_of(module) for module in network.modules())


def fuse_branches(network: nn.Module) -> None:
    """Fuse each module that can, in place.

    Args:
        network (nn.Module): The network, in eval mode.
    """
    for name, child in [*network.named_children()]:
        fuse = _method_of(child)
        if fuse is not None:
            fused = fuse()
            if isinstance(fused, nn.Module):
                setattr(network, name, fused)
                child = fused
        fuse_branches(child)


def _named(network: nn.Module, *kinds: type[nn.Module]) -> list[str]:
    return [name for name, part in network.named_modules() if isinstance(part, kinds)]


def _exact(
    network: nn.Module, pairs: list[Pair], images: Tensor, expected: Any
) -> list[Pair]:
    """Select the pairs that can be folded without another output.

    Some layers feed a residual connection beside their batch norm, e.g. FastViT's
    positions.
    """
    if not pairs:
        return []
    outputs = zip(fold(network, pairs)(images), expected)
    if all((a - b).abs().max() <= _TOLERANCE * b.abs().max() for a, b in outputs):
        return pairs
    half = len(pairs) // 2
    parts = (pairs[:half], pairs[half:]) if half else ()
    return [pair for part in parts for pair in _exact(network, part, images, expected)]


class Fused(NamedTuple):
    """A fused network, and an account of it."""

    network: nn.Module
    norms: int  # batch norms before
    convs: int  # convolutions before
    merged: int  # convolutions that became part of another
    left: list[str]  # names of the batch norms that remain

    def report(self) -> str:
        """One line for the log."""
        text = f'{self.norms - len(self.left)} of {self.norms} batch norms'
        if self.merged:
            text += (
                f', {self.merged} of {self.convs} convolutions into their neighbours'
            )
        if self.left:
            text += f'; {len(self.left)} norms remain, e.g. {self.left[0]}'
        return text


def fused(network: nn.Module, images: Tensor) -> Fused:
    """Copy a network with its branches and batch norms fused.

    RepViT, MobileOne, FastViT, RepVGG and others have modules that fuse their
    branches to one convolution. Then each batch norm that is left is folded into
    the layer before it. Both are exact up to rounding; compare the networks.

    Args:
        network (nn.Module): The network, in eval mode; returns a tuple of tensors.
            It is not changed.
        images (Tensor): Its input, [N, 3, H, W].

    Returns:
        Fused: The copy and its account.
    """
    norms, convs = len(_named(network, _BatchNorm)), len(_named(network, nn.Conv2d))
    copy = deepcopy(network)
    try:
        with torch.no_grad():
            fuse_branches(copy)
            copy.eval()
            copy(images)
    except Exception as error:  # whatever the network's own code raises
        reason = str(error).strip().split('\n')[0]
        print_log(
            f'The branches of the network are not fused: {reason}',
            'current',
            level=logging.WARNING,
        )
        copy = deepcopy(network)
    copy.requires_grad_(False)
    with torch.no_grad():
        pairs = norm_pairs(copy, images)
        copy = fold(copy, _exact(copy, pairs, images, copy(images)))
    merged = convs - len(_named(copy, nn.Conv2d))
    return Fused(copy, norms, convs, merged, _named(copy, _BatchNorm))

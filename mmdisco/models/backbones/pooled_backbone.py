"""A backbone that returns its pooled feature, and nothing else."""

from typing import Any

from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError


def pooled_feature(output: Any, name: str) -> Tensor:
    """Pool the output of a network to one vector per image.

    Args:
        output (Tensor or Sequence): A vector [N, P] or a map [N, C, h, w], or a
            tuple that ends in one.
        name (str): Name of the network in messages.

    Returns:
        Tensor: The vector, or the mean over positions, [N, P].

    Raises:
        InputError: If the output is something else.
    """
    last = output
    while isinstance(last, (tuple, list)) and last:
        last = last[-1]
    if isinstance(last, Tensor) and last.dim() == 4:
        return last.mean((2, 3))
    if isinstance(last, Tensor) and last.dim() == 2:
        return last
    shape = list(last.shape) if isinstance(last, Tensor) else type(last).__name__
    raise InputError(
        f'{name} returns {shape}: a student returns a feature [N, P], a map '
        '[N, C, h, w], or a tuple that ends in one'
    )


def _pool(network: nn.Module, _: tuple, output: Any) -> tuple[Tensor]:
    return (pooled_feature(output, type(network).__name__),)


@MODELS.register_module('PooledBackbone')
def pooled_backbone(backbone: dict) -> nn.Module:
    """Build a backbone of mmpretrain that returns its pooled feature.

    It is for projection heads without pooling, and stays the network itself: its
    tensors keep their names, and files record its own config.

    Args:
        backbone (dict): Config of the backbone.

    Returns:
        nn.Module: The backbone; its output is a tuple with one tensor [N, P].

    Example:
        >>> network = pooled_backbone(dict(type='ResNet', depth=18))
        >>> network(torch.randn(2, 3, 64, 64))[0].shape
        torch.Size([2, 512])
    """
    network = MODELS.build(backbone)
    network.register_forward_hook(_pool)
    return network

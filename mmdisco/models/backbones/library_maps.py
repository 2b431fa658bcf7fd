"""Feature maps of timm's and torchvision's networks, for detectors."""

from collections.abc import Iterable
from typing import Any

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdisco.errors import InputError
from .timm_network import TimmNetwork
from .torchvision_network import TorchvisionNetwork

_PROBE = 128  # pixels, a multiple of all strides


class LibraryMaps(BaseModule):
    """Base of the backbones with a map at each stride.

    Its tensors have the names of the student, so that its file fits; layers that
    no map needs are left out.

    Args:
        name (str): Name of the network in its library.
        strides (Sequence[int]): Strides of the maps.
        norm_eval (bool): Keep BN in eval mode.

    Attributes:
        name (str): Name of the network in its library.
        channels (list[int]): Width of each map.
        unused (list[str]): Tensors of the student that no map needs.
    """

    network: nn.Module
    channels: list[int]
    unused: list[str]

    def __init__(self, name: str, strides: Iterable[int], norm_eval: bool) -> None:
        super().__init__()
        self.name = name
        self.strides = tuple(strides)
        self.norm_eval = norm_eval

    def _finish(self, before: Iterable[str]) -> None:
        """Set what is known after the network has been cut."""
        kept = self.network.state_dict()
        self.unused = [f'network.{key}' for key in before if key not in kept]
        training = self.network.training
        self.network.eval()
        with torch.no_grad():
            maps = self(torch.zeros(1, 3, _PROBE, _PROBE))
        self.network.train(training)
        self.channels = [x.shape[1] for x in maps]

    def init_weights(self) -> None:
        """Keep the library's initial weights."""

    def train(self, mode: bool = True) -> 'LibraryMaps':
        """Set the mode; with ``norm_eval``, BN stays in eval mode."""
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def _refuse(name: str, strides: Iterable[int], known: Iterable[int]) -> InputError:
    listed = ', '.join(map(str, sorted({*known}))) or 'no stride'
    return InputError(
        f"'{name}' has maps at {listed}, not at {', '.join(map(str, strides))}: use "
        'another network, or other strides and a neck for them'
    )


@MODELS.register_module()
class TimmMaps(LibraryMaps):
    """Feature maps of a network of timm, in a detector.

    It takes the file of a :class:`TimmNetwork` of the same name.

    Args:
        name (str): Name in timm.
        strides (Sequence[int]): Strides of the maps. Defaults to (4, 8, 16, 32).
        norm_eval (bool): Keep BN in eval mode. Defaults to False.

    Raises:
        InputError: If timm has no such network, or it has no such maps.

    Example:
        >>> backbone = TimmMaps('test_resnet')
        >>> backbone.channels
        [32, 48, 192, 96]
        >>> [x.shape[2] for x in backbone(torch.randn(1, 3, 64, 64))]
        [16, 8, 4, 2]
    """

    def __init__(
        self,
        name: str,
        strides: Iterable[int] = (4, 8, 16, 32),
        norm_eval: bool = False,
    ) -> None:
        super().__init__(name, strides, norm_eval)
        network: Any = TimmNetwork(name).network
        if not hasattr(network, 'prune_intermediate_layers'):
            raise InputError(
                f"timm's '{name}' has no method for its maps "
                '(forward_intermediates): use another network'
            )
        last = {info['reduction']: i for i, info in enumerate(network.feature_info)}
        missing = {*self.strides} - last.keys()
        if missing:
            raise _refuse(f'timm:{name}', self.strides, last)
        self.indices = [last[stride] for stride in self.strides]
        before = [*network.state_dict()]
        network.prune_intermediate_layers(self.indices, prune_head=True)
        self.network = network
        self._finish(before)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps, [N, C, h, w] each, of images [N, 3, H, W]."""
        network: Any = self.network
        return tuple(
            network.forward_intermediates(
                images, indices=self.indices, intermediates_only=True
            )
        )


@MODELS.register_module()
class TorchvisionMaps(LibraryMaps):
    """Feature maps of a convolutional network of torchvision, in a detector.

    The last block at each stride gives its map. It takes the file of a
    :class:`TorchvisionNetwork` of the same name.

    Args:
        name (str): Name in torchvision.
        strides (Sequence[int]): Strides of the maps. Defaults to (4, 8, 16, 32).
        norm_eval (bool): Keep BN in eval mode. Defaults to False.

    Raises:
        InputError: If torchvision has no such network, or it has no such maps.
    """

    def __init__(
        self,
        name: str,
        strides: Iterable[int] = (4, 8, 16, 32),
        norm_eval: bool = False,
    ) -> None:
        super().__init__(name, strides, norm_eval)
        from torchvision.models.feature_extraction import create_feature_extractor

        network = TorchvisionNetwork(name).network
        nodes = _nodes_by_stride(network, f'torchvision:{name}')
        if {*self.strides} - nodes.keys():
            raise _refuse(f'torchvision:{name}', self.strides, nodes)
        before = [*network.state_dict()]
        self.network = create_feature_extractor(
            network, {nodes[stride]: str(stride) for stride in self.strides}
        )
        self._finish(before)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps, [N, C, h, w] each, of images [N, 3, H, W]."""
        maps = self.network(images)
        return tuple(maps[str(stride)] for stride in self.strides)


def _nodes_by_stride(network: nn.Module, name: str) -> dict[int, str]:
    """Node of the graph at which the last block of each stride ends."""
    from torchvision.models.feature_extraction import (
        create_feature_extractor,
        get_graph_node_names,
    )

    try:
        train, evaluation = get_graph_node_names(network)
        names = [each for each in evaluation if each in {*train}]
        with torch.no_grad():
            outputs = create_feature_extractor(network, names).eval()(
                torch.zeros(1, 3, _PROBE, _PROBE)
            )
    except Exception as error:  # whatever tracing raises
        reason = str(error).strip().split('\n')[0]
        raise InputError(f"'{name}' has no maps for a detector: {reason}") from error
    nodes: dict[int, str] = {}
    for each in _ends(network, names):
        value = outputs[each]
        if isinstance(value, Tensor) and value.dim() == 4 and value.shape[2] > 1:
            stride, rest = divmod(_PROBE, value.shape[2])
            if not rest and value.shape[2] == value.shape[3]:
                nodes[stride] = each
    return nodes


def _ends(network: nn.Module, nodes: list[str]) -> list[str]:
    """Last node of each child of a network, and of each block of its sequences."""
    blocks = []
    for name, child in network.named_children():
        blocks.append(name)
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            blocks += [f'{name}.{part}' for part, _ in child.named_children()]
    ends = {
        inside[-1]
        for block in blocks
        if (inside := [n for n in nodes if n == block or n.startswith(f'{block}.')])
    }
    return [node for node in nodes if node in ends]


def library_maps(network: TimmNetwork | TorchvisionNetwork) -> LibraryMaps:
    """Maps at strides 4, 8, 16 and 32 of a student, with its weights.

    Args:
        network (TimmNetwork or TorchvisionNetwork): The student.
    """
    build = TimmMaps if isinstance(network, TimmNetwork) else TorchvisionMaps
    maps = build(network.name)
    weights = network.state_dict()
    maps.load_state_dict({key: weights[key] for key in maps.state_dict()})
    maps.train(network.training)
    return maps

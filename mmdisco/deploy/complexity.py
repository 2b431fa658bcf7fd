"""Parameters, multiply-adds and memory of networks, counted without training.

Memory is counted on the device 'meta', where tensors have a shape but no data, so
the counts are the same on every machine. Counted are the bytes of tensors,
without the workspace of kernels and the rounding of allocators. BN's batch
statistics, a few hundred bytes, are counted even on devices that do not need
them.
"""

import copy
import weakref
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmdisco.checkpoints import arch_config
from mmdisco.checkpoints.network import TEACHERS
from mmdisco.errors import InputError


def _attention(inputs: list, outputs: list) -> int:
    """Multiply-adds of torch's fused attention, unknown to mmengine."""
    (n, heads, queries, width), keys = (x.type().sizes() for x in inputs[:2])
    return 2 * n * heads * queries * keys[2] * width


def multiply_adds(network: nn.Module, size: int) -> int:
    """Multiply-adds of a forward pass of one image, as OpenMMLab counts them.

    Counted by mmengine's FlopAnalyzer, which includes normalisation and
    pooling; fused attention is added here. OpenMMLab's metafiles call them FLOPs.

    Args:
        network (nn.Module): The network; left in eval mode.
        size (int): Height and width of the image.

    Returns:
        int: Multiply-adds, one each.
    """
    network.eval()
    device = next(network.parameters()).device
    analyzer = FlopAnalyzer(network, (torch.zeros(1, 3, size, size, device=device),))
    analyzer.set_op_handle('aten::scaled_dot_product_attention', _attention)
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        return int(analyzer.total())


def on_meta(network: nn.Module) -> nn.Module:
    """Copy a network to the device 'meta': shapes without data."""
    return copy.deepcopy(network).to('meta')


def meta_images(num: int, size: int) -> Tensor:
    """Images without data, [N, 3, H, W]."""
    return torch.empty(num, 3, size, size, device='meta')


class LiveBytes(TorchDispatchMode):
    """Count the bytes of all tensors created in this mode.

    Views share a storage, which counts once, until it is freed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        """Run an operation and count the new storages of its outputs."""
        before = {
            id(leaf.untyped_storage())
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, Tensor)
        }
        outputs = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(outputs):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if id(storage) not in self._known | before:
                    self.add(storage)
        return outputs

    def add(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it is freed."""
        key, size = id(storage), storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def forward_peak(network: nn.Module, size: int) -> int:
    """Peak activation memory of a forward pass of one image.

    In eval mode, without gradients: the image and all activations that are
    alive at the same time, without weights.

    Args:
        network (nn.Module): A network on the device 'meta'.
        size (int): Height and width of the image.

    Returns:
        int: Bytes.
    """
    network.eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        image = meta_images(1, size)
        with LiveBytes() as live:
            live.add(image.untyped_storage())
            network(image)
    return live.peak


def _saved(network: nn.Module, num: int, size: int) -> int:
    weights = (*network.parameters(), *network.buffers())
    known = {id(tensor.untyped_storage()) for tensor in weights}
    saved: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in known:
            saved[id(storage)] = storage  # held, so that its id stays unique
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor), sdpa_kernel(SDPBackend.MATH):
        outputs = network(meta_images(num, size))
    del outputs
    return sum(storage.nbytes() for storage in saved.values())


def saved_per_image(network: nn.Module, size: int) -> int:
    """Activation memory that a training step saves for the backward pass.

    The difference between a batch of three and one of two, so that batch
    statistics do not count. Attention is counted by its plain formula; fused
    kernels save less.

    Args:
        network (nn.Module): A network on the device 'meta'.
        size (int): Height and width of the images.

    Returns:
        int: Bytes per image.
    """
    network.train()
    return _saved(network, 3, size) - _saved(network, 2, size)


PAPER_M = 2**20  # the paper's million
SMALLEST = 32  # pixels: one position of the last map


class Complexity(NamedTuple):
    """Cost of a network; bytes are those of fp32."""

    name: str
    kind: str  # 'teacher' or 'student'
    parameters: int  # of the backbone, the deployed part
    with_neck: int
    papers_millions: float  # by the paper's convention
    multiply_adds: int  # forward pass of one image
    peak_bytes: int  # forward pass of one image
    saved_bytes: int  # of a training step, per image
    width: int  # of the feature


def count(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in network.parameters())


def papers_millions(parameters: int, width: int | None = None) -> float:
    """Parameters as the paper counts them: in units of 2^20.

    Teachers count without a linear layer, students with one to 128.

    Args:
        parameters (int): Parameters of the backbone.
        width (int, optional): Width of a student's feature; None for a teacher.

    Returns:
        float: Millions of 2^20.
    """
    linear = 0 if width is None else 128 * (width + 1)
    return (parameters + linear) / PAPER_M


def complexity(name: str, size: int = 224) -> Complexity:
    """Count parameters, multiply-adds and activations of an arch.

    Args:
        name (str): As in :mod:`mmdisco.checkpoints.network`.
        size (int): Height and width of images. Defaults to 224.

    Returns:
        Complexity: The counts.

    Raises:
        InputError: If the arch is unknown or the images are too small.
    """
    if size < SMALLEST:
        raise InputError(
            f'images of {size} pixels are too small: use at least {SMALLEST}, '
            'one position of the last map'
        )
    arch = arch_config(name)
    init_default_scope('mmpretrain')
    backbone, neck = MODELS.build(arch.backbone), MODELS.build(arch.neck)
    parameters, width = count(backbone), arch.neck['in_channels']
    kind = 'teacher' if name in TEACHERS else 'student'
    flops = multiply_adds(backbone, size)
    backbone = on_meta(backbone)
    return Complexity(
        name,
        kind,
        parameters,
        parameters + count(neck),
        papers_millions(parameters, width if kind == 'student' else None),
        flops,
        forward_peak(backbone, size),
        saved_per_image(backbone, size),
        width,
    )


HEAD = (
    f'{"":<9}{"backbone":>12}{"with neck":>12}{"paper M":>9}'
    f'{"G mult-add":>12}{"peak MiB":>10}{"saved MiB":>11}'
)


def table(rows: Iterable[Complexity]) -> list[str]:
    """Lines of a text table, below :data:`HEAD`."""
    return [
        f'{row.name:<9}{row.parameters:>12,}{row.with_neck:>12,}'
        f'{row.papers_millions:>9.3f}{row.multiply_adds / 1e9:>12.3f}'
        f'{row.peak_bytes / 2**20:>10.1f}{row.saved_bytes / 2**20:>11.1f}'
        for row in rows
    ]

import copy
import weakref
from collections.abc import Iterable
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


def _attention(inputs, outputs) -> int:
    """Of both products of torch's fused attention, unknown to mmengine."""
    (n, heads, queries, width), keys = (x.type().sizes() for x in inputs[:2])
    return 2 * n * heads * queries * keys[2] * width


def multiply_adds(network: nn.Module, size: int) -> int:
    """Multiply-adds of a forward pass of one image, as OpenMMLab counts them.

    By mmengine's FlopAnalyzer, which counts normalisation and pooling, too;
    with fused attention added. OpenMMLab's metafiles call them FLOPs.

    Args:
        network (nn.Module): Left in eval mode.
        size (int): Height and width of the image.
    """
    network.eval()
    device = next(network.parameters()).device
    analyzer = FlopAnalyzer(network, (torch.zeros(1, 3, size, size, device=device),))
    analyzer.set_op_handle('aten::scaled_dot_product_attention', _attention)
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        return int(analyzer.total())


def on_meta(network: nn.Module) -> nn.Module:
    """A copy of a network that has shapes alone."""
    return copy.deepcopy(network).to('meta')


def meta_images(num: int, size: int) -> Tensor:
    """Images that have a shape alone, [N, 3, H, W]."""
    return torch.empty(num, 3, size, size, device='meta')


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is on.

    Views share their storage, which counts once, until nothing holds it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
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
    """Bytes that a forward pass of one image needs at its worst moment.

    In eval mode, without gradients: the image and all activations that are
    alive at once, and no weights.

    Args:
        network (nn.Module): On the device 'meta'.
        size (int): Height and width of the image.
    """
    network.eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        image = meta_images(1, size)
        with LiveBytes() as live:
            live.add(image.untyped_storage())
            network(image)
    return live.peak


def _saved(network: nn.Module, num: int, size: int) -> int:
    own = {id(t.untyped_storage()) for t in (*network.parameters(), *network.buffers())}
    found: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in own:
            found[id(storage)] = storage  # kept, so that no other gets its id
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor), sdpa_kernel(SDPBackend.MATH):
        outputs = network(meta_images(num, size))
    del outputs
    return sum(storage.nbytes() for storage in found.values())


def saved_per_image(network: nn.Module, size: int) -> int:
    """Bytes that a training step keeps for its backward pass, per image.

    What autograd saves of a batch of three, less that of two: statistics of
    a batch, which don't grow with it, are not in it. Attention is counted by
    its plain formula; fused kernels keep less.

    Args:
        network (nn.Module): On the device 'meta'.
        size (int): Height and width of the images.
    """
    network.train()
    return _saved(network, 3, size) - _saved(network, 2, size)


PAPER_M = 2**20  # what the paper calls a million
SMALLEST = 32  # pixels


class Complexity(NamedTuple):
    """What a network costs; bytes are fp32."""

    name: str
    kind: str  # 'teacher' or 'student'
    parameters: int  # of the backbone, which is what is deployed
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

    Its teachers are backbones; its students have one linear layer to 128.

    Args:
        parameters (int): Of the backbone.
        width (int, optional): Of a student's feature; None for a teacher.
    """
    linear = 0 if width is None else 128 * (width + 1)
    return (parameters + linear) / PAPER_M


def complexity(name: str, size: int = 224) -> Complexity:
    """Count what an arch costs.

    Args:
        name (str): As in :mod:`mmdisco.checkpoints.network`.
        size (int): Height and width of images. Defaults to 224.

    Raises:
        InputError: If the arch is not known, or images are too small.
    """
    if size < SMALLEST:
        raise InputError(
            f'images of {size} pixels are too small: at least '
            f'{SMALLEST} are one position of the last map'
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
    """Lines of a table, under :data:`HEAD`."""
    return [
        f'{row.name:<9}{row.parameters:>12,}{row.with_neck:>12,}'
        f'{row.papers_millions:>9.3f}{row.multiply_adds / 1e9:>12.3f}'
        f'{row.peak_bytes / 2**20:>10.1f}{row.saved_bytes / 2**20:>11.1f}'
        for row in rows
    ]

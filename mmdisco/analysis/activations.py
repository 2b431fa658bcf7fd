"""Memory of activations, counted without computing anything.

Networks and images are put on the device 'meta', where tensors have shapes
and no content, so the counts are the same on every machine. They are of
tensors: what a kernel allocates for itself while it runs is not among them,
nor what an allocator rounds up to. BN's statistics, a few hundred bytes, are,
also where a device needs none.
"""

import copy
import weakref
from typing import Dict

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


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
    found: Dict[int, torch.UntypedStorage] = {}

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

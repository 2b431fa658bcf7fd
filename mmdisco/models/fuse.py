from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

Pair = tuple[str, str]


def norm_pairs(network: nn.Module, images: Tensor) -> list[Pair]:
    """Find each layer whose output goes straight into a BN.

    They are found by running the network and comparing tensors by identity,
    not by names or order of definition, so any network of torch modules will
    do. A layer or BN that runs more than once is left out.

    Args:
        network (nn.Module): In eval mode.
        images (Tensor): What it takes, [N, 3, H, W].

    Returns:
        list[tuple]: Names of layer and BN.
    """
    calls: dict[str, int] = {}
    outputs: list[tuple[Tensor, str]] = []  # holds tensors: ids stay unique
    pairs: list[Pair] = []

    def after_layer(name):

        def hook(module, inputs, output):
            calls[name] = calls.get(name, 0) + 1
            outputs.append((output, name))

        return hook

    def before_norm(name):

        def hook(module, inputs):
            calls[name] = calls.get(name, 0) + 1
            pairs.extend(
                (layer, name) for output, layer in outputs if output is inputs[0]
            )

        return hook

    handles = []
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            handles.append(module.register_forward_hook(after_layer(name)))
        elif isinstance(module, _BatchNorm):
            handles.append(module.register_forward_pre_hook(before_norm(name)))
    try:
        with torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)]


def fuse_norms(network: nn.Module, images: Tensor) -> nn.Module:
    """Copy a frozen network with each BN folded into the layer before it.

    Exact but for rounding, if nothing else reads that layer's output: compare
    both networks on some images.

    Args:
        network (nn.Module): In eval mode; it stays as it is.
        images (Tensor): What it takes, [N, 3, H, W].

    Returns:
        nn.Module: The copy, with ``nn.Identity`` in place of the folded BNs.
    """
    pairs = norm_pairs(network, images)
    network = deepcopy(network)
    modules = dict(network.named_modules())

    def replace(name: str, module: nn.Module) -> None:
        parent, _, leaf = name.rpartition('.')
        setattr(modules[parent], leaf, module)

    for layer, norm in pairs:
        fuse = (
            fuse_linear_bn_eval
            if isinstance(modules[layer], nn.Linear)
            else fuse_conv_bn_eval
        )
        replace(layer, fuse(modules[layer], modules[norm]))
        replace(norm, nn.Identity())
    return network

"""Faster frozen networks: folded batch norms, bf16, channels last, compiled."""

import logging
from collections.abc import Callable, Iterable
from copy import deepcopy
from types import ModuleType
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from ..tap import unwrap

Pair = tuple[str, str]
Network = TypeVar('Network', bound=nn.Module)


def norm_pairs(network: nn.Module, images: Tensor) -> list[Pair]:
    """Find each layer that feeds directly into a BN.

    The network is run, and tensors are compared by identity instead of names
    or order of definition, so any network of torch modules works. A layer or BN
    that runs more than once is left out.

    Args:
        network (nn.Module): The network, in eval mode.
        images (Tensor): Its input, [N, 3, H, W].

    Returns:
        list[tuple[str, str]]: Names of layer and BN.
    """
    calls: dict[str, int] = {}
    outputs: list[tuple[Tensor, str]] = []  # keeps tensors: identities stay unique
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


def fuse_norms(network: Network, images: Tensor) -> Network:
    """Copy a frozen network with each BN folded into the layer before it.

    Exact up to rounding, unless another module reads that layer's output, too:
    compare both networks on some images.

    Args:
        network (nn.Module): The network, in eval mode. It is not changed.
        images (Tensor): Its input, [N, 3, H, W].

    Returns:
        nn.Module: The copy, with ``nn.Identity`` in place of the folded BNs, or their
        activation.
    """
    return fold(network, norm_pairs(network, images))


def fold(network: Network, pairs: Iterable[Pair]) -> Network:
    """Copy a frozen network with some BNs folded into the layers before them.

    Args:
        network (nn.Module): The network, in eval mode. It is not changed.
        pairs (Iterable[tuple[str, str]]): Names of layer and BN.

    Returns:
        nn.Module: The copy, see :func:`fuse_norms`.
    """
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
        replace(norm, _behind(modules[norm]))
    return network


def _behind(norm: nn.Module) -> nn.Module:
    """What a BN computes behind its normalisation: timm's has an activation."""
    parts = [part for name, part in norm.named_children() if name in ('drop', 'act')]
    return nn.Sequential(*parts) if parts else nn.Identity()


DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)


class SpeedOptions(NamedTuple):
    """How to rewrite a frozen network, as in :func:`speed_up`."""

    fuse: bool = False
    dtype: str = 'fp32'
    channels_last: bool = False
    compile: bool = False


class Encoder(nn.Module):
    """Backbone and neck, computed in one dtype and memory format.

    Args:
        backbone (nn.Module): The backbone.
        neck (nn.Module): The projection head.
    """

    def __init__(self, backbone: nn.Module, neck: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.dtype = torch.float32
        self.memory_format = torch.preserve_format
        self.mixed = False  # whether activations may have several dtypes

    def rewrite(self, dtype: torch.dtype, channels_last: bool) -> 'Encoder':
        """Set dtype and memory format of weights and images."""
        self.dtype = dtype
        if channels_last:
            self.memory_format = torch.channels_last
        return self.to(  # type: ignore[call-overload]
            dtype=dtype, memory_format=self.memory_format
        )

    def forward(self, x: Tensor) -> Tensor:
        """Embed images [N, 3, H, W] as fp32 [N, D]."""
        x = x.to(dtype=self.dtype, memory_format=self.memory_format)
        if not self.mixed:
            return unwrap(self.neck(self.backbone(x))).float()
        with torch.autocast(x.device.type, self.dtype):
            return unwrap(self.neck(self.backbone(x))).float()


class Compiled:
    """A frozen encoder, compiled with its weights as constants on a CPU.

    The compiler then stores weights in the order that oneDNN reads, and joins
    activations and sums to the convolution or linear layer before them: up to a
    quarter less time. It takes another copy of the weights.

    Args:
        encoder (Encoder): The network. Its weights must not change.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.plain = encoder
        self._run = torch.compile(encoder)

    def __call__(self, images: Tensor) -> Tensor:
        """Embed images [N, 3, H, W] as fp32 [N, D]."""
        if images.device.type != 'cpu':
            return self._run(images)
        # for the whole process, since the tracer reads it, too; each call may
        # compile, for images of another size
        with inductor_config().patch(freezing=True), torch.no_grad():
            return self._run(images)


def inductor_config() -> ModuleType:
    """Settings of the compiler, which is slow to import."""
    import torch._inductor.config as config

    return config


def _is_mixed(encoder: Encoder, images: Tensor) -> bool:
    """Whether the encoder needs autocast.

    It does if a part computes in fp32 whatever its weights are, as XCiT's
    positions.
    """
    try:
        encoder(images)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or 'type' not in str(
            error
        ):  # 'the same dtype', 'input type'
            raise
        return True
    return False


def speed_up(
    plain: Encoder,
    images: Tensor,
    fuse: bool,
    dtype: str,
    channels_last: bool,
    compile: bool,
) -> tuple[Encoder, Callable] | None:
    """Rewrite a frozen network for speed and compare it with the plain one.

    Args:
        plain (Encoder): The network. It is not changed.
        images (Tensor): The first batch, [N, 3, H, W].
        fuse (bool): Whether to fold BN into convolutions and linear layers.
        dtype (str): 'fp32', 'bf16' or 'fp16'.
        channels_last (bool): Whether weights and images have the memory format
            channels-last.
        compile (bool): Whether to ``torch.compile`` the network. Without a
            working compiler, a warning is logged and it is not compiled.

    Returns:
        tuple, optional: The rewritten network and the function to call, which
        is the network or its compiled form. None if the embeddings differ from
        the plain network's (cosine below 0.9999 in fp32, 0.999 otherwise).
    """
    with torch.no_grad():
        # in parts, since a step may already use most of the memory
        rows = len(images) if any(m.training for m in plain.modules()) else 8
        expected = torch.cat([plain(part) for part in images.split(rows)])
        encoder = fuse_norms(plain, images[:1]) if fuse else deepcopy(plain)
        encoder.rewrite(DTYPES[dtype], channels_last)
        if dtype != 'fp32':
            encoder.mixed = _is_mixed(encoder, images[:rows])
        run: Callable[[Tensor], Tensor] = encoder
        if compile:
            run = Compiled(encoder)
            try:
                run(images)
            except Exception as error:  # whatever the compiler raises
                reason = str(error).strip().split('\n')[0]
                print_log(
                    f'The teacher is not compiled: {reason}',
                    logger='current',
                    level=logging.WARNING,
                )
                run = encoder
        cosine = F.cosine_similarity(run(images), expected).min().item()
    least = 0.9999 if dtype == 'fp32' else 0.999
    if cosine < least:
        print_log(
            f'The embeddings of the teacher rewritten for speed, in {dtype}, differ '
            f'(cosine {cosine:.5f} < {least}): it is not used',
            logger='current',
            level=logging.WARNING,
        )
        return None
    changes = [
        change
        for change, applied in (
            ('BN folded', fuse),
            (dtype, dtype != 'fp32'),
            ('channels last', channels_last),
            ('compiled', run is not encoder),
        )
        if applied
    ]
    print_log(
        f'Teacher: {", ".join(changes)}; lowest cosine with the plain one {cosine:.6f}',
        logger='current',
    )
    return encoder, run

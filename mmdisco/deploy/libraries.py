"""Export of a network's weights under the names of a library, or its own."""

from collections.abc import Callable, Collection
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmcv.cnn.bricks import Conv2dAdaptivePadding
from torch import Tensor, nn

from mmdisco.checkpoints import load_strictly, rename_to, safe_load
from mmdisco.checkpoints.save import reproducible_bytes
from mmdisco.checkpoints.student import Student
from mmdisco.errors import InputError
from mmdisco.models import ImportedNetwork, TimmNetwork, TorchvisionNetwork
from mmdisco.models.outputs import Pooled
from .export import Reloaded

_R50 = ('r50', 'swavr50', 'selar50', 'dcr50')
_TIMM = {
    **dict.fromkeys(_R50, 'resnet50'),
    'r18': 'resnet18',
    'r34': 'resnet34',
    'r101': 'resnet101',
    'r152': 'resnet152',
    'effb0': 'efficientnet_b0',
    'effb1': 'efficientnet_b1',
    'mbv3': 'mobilenetv3_large_100',
    'vitt': 'vit_tiny_patch16_224',
    'vits': 'vit_small_patch16_224',
    'xcitt': 'xcit_tiny_12_p16_224',
    'xcits': 'xcit_small_12_p16_224',
}
# Name, path of the classifier, and default BN eps in torchvision.
_TORCHVISION = {
    **dict.fromkeys(_R50, ('resnet50', 'fc', 1e-5)),
    **{f'r{depth}': (f'resnet{depth}', 'fc', 1e-5) for depth in (18, 34, 101, 152)},
    'effb0': ('efficientnet_b0', 'classifier', 1e-5),
    'effb1': ('efficientnet_b1', 'classifier', 1e-5),
    'mbv3': ('mobilenet_v3_large', 'classifier.3', 1e-3),
}


def _eps(backbone: nn.Module) -> float:
    """Eps of the batch norms."""
    return next(
        (m.eps for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)), 1e-5
    )


def _pads_as_tensorflow(backbone: nn.Module) -> bool:
    return any(isinstance(m, Conv2dAdaptivePadding) for m in backbone.modules())


def timm_arguments(student: Student) -> tuple[str, dict[str, Any]]:
    """Name of a student's network in timm, and options beside ``num_classes=0``."""
    backbone, arch = student.backbone, student.network.arch
    if isinstance(backbone, TimmNetwork):
        return backbone.name, dict(backbone.options)
    as_tf, eps = _pads_as_tensorflow(backbone), _eps(backbone)
    name = f'{"tf_" if as_tf else ""}{_TIMM[str(arch)]}'
    default = 1e-3 if as_tf else 1e-5
    return name, {} if eps == default else dict(bn_eps=eps)


def _timm(student: Student) -> tuple[nn.Module, str]:
    import timm

    name, options = timm_arguments(student)
    build = ''.join(f', {key}={value}' for key, value in options.items())
    return (
        timm.create_model(name, num_classes=0, **options),
        f"timm.create_model('{name}', num_classes=0{build})",
    )


def _torchvision(student: Student) -> tuple[nn.Module, str]:
    from torchvision import models

    backbone = student.backbone
    if isinstance(backbone, TorchvisionNetwork):
        name = backbone.name
        return TorchvisionNetwork(name).network, (
            f"torchvision.models.get_model('{name}') without {backbone.classifier}"
        )
    if _pads_as_tensorflow(backbone):
        raise InputError(
            'torchvision has no network with TensorFlow padding, '
            'which this one has: use --format timm'
        )
    name, classifier, default = _TORCHVISION[str(student.network.arch)]
    eps = _eps(backbone)
    layer = partial(nn.BatchNorm2d, eps=eps)
    network = getattr(models, name)(norm_layer=layer)
    owner, _, leaf = classifier.rpartition('.')
    setattr(network.get_submodule(owner), leaf, nn.Identity())
    how = f'torchvision.models.{name}() without {classifier}'
    if eps != default:
        how = (
            f'torchvision.models.{name}(norm_layer=partial(BatchNorm2d, '
            f'eps={eps:g})) without {classifier}; its default eps of '
            f'{default:g} gives other features'
        )
    return network, how


# By library: networks of it by name, archs that it has, and how to build them.
LIBRARIES: dict[str, tuple[type[nn.Module], Collection[str], Callable]] = dict(
    timm=(TimmNetwork, _TIMM, _timm),
    torchvision=(TorchvisionNetwork, _TORCHVISION, _torchvision),
)


def to_library(library: str, student: Student, path: Path, ending: str) -> Reloaded:
    """Write a state dict with a library's tensor names.

    Args:
        library (str): 'timm' or 'torchvision'.
        student (Student): The network.
        path (Path): File to write.
        ending (str): File ending that selects the format, e.g. '.safetensors'.

    Raises:
        InputError: If the library has no such network.
    """
    weights = library_weights(library, student)
    path.write_bytes(reproducible_bytes(ending, weights))
    count = sum(p.numel() for p in student.backbone.parameters())
    if find_spec(library) is None:
        return Reloaded(None, count, f'{library} is not installed')
    network, how = LIBRARIES[library][2](student)
    load_strictly(network, safe_load(str(path)), f"'{path.name}'")
    network.eval()
    return Reloaded(
        lambda images: (network(images),),
        sum(p.numel() for p in network.parameters()),
        how,
    )


def library_weights(library: str, student: Student) -> dict[str, Tensor]:
    """Tensors of a student by a library's names; arguments of :func:`to_library`."""
    backbone, arch = student.backbone, student.network.arch
    own, names, _ = LIBRARIES[library]
    if isinstance(backbone, own):
        return backbone.network.state_dict()  # type: ignore[union-attr,operator]
    if arch is None or arch not in names:
        kind = f"'{arch}'" if arch else f'like {described(backbone)}'
        raise InputError(
            f'{library} has no network {kind}, only {", ".join(names)}: use --format '
            'state-dict for its own names'
        )
    return rename_to(library, arch, backbone.state_dict())


def described(backbone: nn.Module) -> str:
    """Class of a network, with its name in a library."""
    own = isinstance(backbone, ImportedNetwork)
    name = getattr(backbone, 'path' if own else 'name', None)
    kind = type(backbone).__name__
    return f"{kind} '{name}'" if isinstance(name, str) else kind


def to_state_dict(student: Student, path: Path, ending: str) -> Reloaded:
    """Write the network's own state dict, without a prefix.

    Args:
        student (Student): The network.
        path (Path): File to write.
        ending (str): File ending that selects the format, e.g. '.safetensors'.
    """
    backbone: Any = student.backbone
    wrapped = isinstance(backbone, (TimmNetwork, TorchvisionNetwork, ImportedNetwork))
    network = backbone.network if wrapped else backbone
    path.write_bytes(reproducible_bytes(ending, network.state_dict()))
    loaded = deepcopy(backbone)
    load_strictly(
        loaded.network if wrapped else loaded, safe_load(str(path)), f"'{path.name}'"
    )
    return Reloaded(
        Pooled(loaded),
        sum(p.numel() for p in loaded.parameters()),
        f'load_state_dict of {described(backbone)}',
    )

"""The student as a network of timm or torchvision."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

from mmcv.cnn.bricks import Conv2dAdaptivePadding
from torch import nn

from mmdisco.checkpoints import load_strictly, rename_to, safe_load
from mmdisco.checkpoints.save import reproducible_bytes
from mmdisco.checkpoints.student import Student
from mmdisco.errors import InputError
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
# Name, where the classifier is, and the BN eps that it has there.
_TORCHVISION = {
    **dict.fromkeys(_R50, ('resnet50', 'fc', 1e-5)),
    **{f'r{depth}': (f'resnet{depth}', 'fc', 1e-5) for depth in (18, 34, 101, 152)},
    'effb0': ('efficientnet_b0', 'classifier', 1e-5),
    'effb1': ('efficientnet_b1', 'classifier', 1e-5),
    'mbv3': ('mobilenet_v3_large', 'classifier.3', 1e-3),
}


def _eps(backbone: nn.Module) -> float:
    """Of its batch norms."""
    return next(
        (m.eps for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)), 1e-5
    )


def _pads_as_tensorflow(backbone: nn.Module) -> bool:
    return any(isinstance(m, Conv2dAdaptivePadding) for m in backbone.modules())


def _timm(arch: str, backbone: nn.Module) -> tuple[nn.Module, str]:
    import timm

    as_tf, eps = _pads_as_tensorflow(backbone), _eps(backbone)
    name = f'{"tf_" if as_tf else ""}{_TIMM[arch]}'
    changed = {} if eps == (1e-3 if as_tf else 1e-5) else dict(bn_eps=eps)
    build = ''.join(f', {k}={v}' for k, v in changed.items())
    return (
        timm.create_model(name, num_classes=0, **changed),
        f"timm.create_model('{name}', num_classes=0{build})",
    )


def _torchvision(arch: str, backbone: nn.Module) -> tuple[nn.Module, str]:
    from torchvision import models

    if _pads_as_tensorflow(backbone):
        raise InputError(
            'torchvision has no network that pads as TensorFlow, '
            'as this one does: take --format timm'
        )
    name, classifier, default = _TORCHVISION[arch]
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
            f'{default:g} is another function'
        )
    return network, how


LIBRARIES = dict(timm=(_TIMM, _timm), torchvision=(_TORCHVISION, _torchvision))


def to_library(library: str, student: Student, path: Path, ending: str) -> Reloaded:
    """Write a state dict under the names of a library.

    Args:
        library (str): 'timm' or 'torchvision'.
        student (Student): The network, of an arch that has a name here.
        path (Path): The file.
        ending (str): By which its format is chosen, as '.safetensors'.

    Raises:
        InputError: If the library has no such network.
    """
    names, build = LIBRARIES[library]
    arch = student.network.arch
    if arch not in names:
        kind = f"'{arch}'" if arch else 'of these settings'
        raise InputError(f'{library} has no network {kind}, but of {", ".join(names)}')
    weights = rename_to(library, arch, student.backbone.state_dict())
    path.write_bytes(reproducible_bytes(ending, weights))
    count = sum(p.numel() for p in student.backbone.parameters())
    if find_spec(library) is None:
        return Reloaded(None, count, f'{library} is not installed')
    network, how = build(arch, student.backbone)
    load_strictly(network, safe_load(str(path)), f"'{path.name}'")
    network.eval()
    return Reloaded(
        lambda images: (network(images),),
        sum(p.numel() for p in network.parameters()),
        how,
    )

"""Export of a network: graphs for other runtimes, weights for timm and torchvision."""

import io
import warnings
from collections.abc import Callable, Collection
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmengine.utils import digit_version
from torch import Tensor, nn
from torch.export import Dim

from mmdisco.checkpoints import load_strictly, rename_to, safe_load
from mmdisco.checkpoints.save import reproducible_bytes
from mmdisco.checkpoints.student import Student
from mmdisco.errors import InputError
from mmdisco.models import ImportedNetwork, TimmNetwork, TorchvisionNetwork
from mmdisco.models.outputs import FeatureMaps, Pooled


class Reloaded(NamedTuple):
    """A written file, loaded again for verification."""

    run: Callable[[Tensor], tuple[Tensor, ...]] | None  # None: no runtime
    parameters: int
    note: str  # how to load the file, or why it was not run


def to_torchscript(network: nn.Module, images: Tensor, path: Path) -> Reloaded:
    """Write TorchScript, not frozen, so that parameters stay parameters.

    PyTorch 2.10 deprecates it; :func:`to_exported_program` is its replacement.

    Args:
        network (nn.Module): In eval mode; returns a tuple of tensors.
        images (Tensor): Images for tracing, [N, 3, H, W].
        path (Path): File to write.
    """
    with torch.no_grad(), warnings.catch_warnings():
        # the caller reports the deprecation, and verifies the file on other images
        # than those whose shapes become constants
        warnings.filterwarnings('ignore', r'`torch\.jit\.')
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        traced = torch.jit.trace(network, images, check_trace=False)
        torch.jit.save(traced, str(path))
        loaded = torch.jit.load(str(path))
    return Reloaded(
        loaded, sum(p.numel() for p in loaded.parameters()), 'torch.jit.load(OUT)'
    )


# Earlier releases of torch.export reject ViTs; their ONNX export fails, too.
_EXPORTS_ALL = '2.8.0'


def _exports_all() -> bool:
    return digit_version(torch.__version__) >= digit_version(_EXPORTS_ALL)


def _newer() -> str:
    return (
        f"found {torch.__version__}: run 'pip install -U torch torchvision', or "
        'use --format torchscript'
    )


def _exported(network: nn.Module, images: Tensor):
    try:
        with torch.no_grad():
            return torch.export.export(
                network, (images,), dynamic_shapes=({0: Dim('batch')},)
            )
    except Exception as error:
        if _exports_all():
            raise
        raise InputError(
            f'this network needs torch >={_EXPORTS_ALL}, {_newer()}'
        ) from error


def to_exported_program(network: nn.Module, images: Tensor, path: Path) -> Reloaded:
    """Write a ``torch.export`` program; same arguments as :func:`to_torchscript`."""
    buffer = io.BytesIO()  # torch.export.save requires .pt2 in a path
    torch.export.save(_exported(network, images), buffer)
    path.write_bytes(buffer.getvalue())
    loaded = torch.export.load(io.BytesIO(path.read_bytes()))
    return Reloaded(
        loaded.module(),
        sum(p.numel() for p in loaded.parameters()),
        'torch.export.load(OUT).module()',
    )


def to_onnx(network: FeatureMaps | Pooled, images: Tensor, path: Path) -> Reloaded:
    """Write ONNX; same arguments as :func:`to_torchscript`.

    The graph is not optimised: runtimes fuse operations at load time, and each
    tensor keeps its name.

    Raises:
        InputError: If onnx or onnxscript is not installed, or torch is too old.
    """
    for name in ('onnx', 'onnxscript'):
        if find_spec(name) is None:
            raise InputError(
                f'ONNX needs {name}: pip install -r requirements/export.txt'
            )
    if not _exports_all():
        raise InputError(f'ONNX needs torch >={_EXPORTS_ALL}, {_newer()}')
    import onnx

    torch.onnx.export(
        _exported(network, images),
        (),
        path,
        dynamo=True,
        optimize=False,
        input_names=['images'],
        output_names=list(network.names),
        external_data=False,
        verbose=False,
    )
    buffers = {name for name, _ in network.named_buffers()}
    model = onnx.load(path)
    onnx.checker.check_model(model)
    count = sum(
        prod(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.name not in buffers
    )
    if find_spec('onnxruntime') is None:
        return Reloaded(None, count, 'onnxruntime is not installed')
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = InferenceSession(
        path.read_bytes(), options, providers=['CPUExecutionProvider']
    )

    def run(images: Tensor) -> tuple[Tensor, ...]:
        outputs = session.run(None, {'images': images.numpy()})
        return tuple(map(torch.from_numpy, outputs))

    return Reloaded(run, count, 'onnxruntime.InferenceSession(OUT)')


GRAPHS: dict[str, Callable[..., Reloaded]] = {
    'onnx': to_onnx,
    'torchscript': to_torchscript,
    'exported-program': to_exported_program,
}


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


def _timm(arch: str, backbone: nn.Module) -> tuple[nn.Module, str]:
    import timm

    as_tf, eps = _pads_as_tensorflow(backbone), _eps(backbone)
    name = f'{"tf_" if as_tf else ""}{_TIMM[arch]}'
    default = 1e-3 if as_tf else 1e-5
    changed: dict[str, Any] = {} if eps == default else dict(bn_eps=eps)
    build = ''.join(f', {k}={v}' for k, v in changed.items())
    return (
        timm.create_model(name, num_classes=0, **changed),
        f"timm.create_model('{name}', num_classes=0{build})",
    )


def _torchvision(arch: str, backbone: nn.Module) -> tuple[nn.Module, str]:
    from torchvision import models

    if _pads_as_tensorflow(backbone):
        raise InputError(
            'torchvision has no network with TensorFlow padding, '
            'which this one has: use --format timm'
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
            f'{default:g} gives other features'
        )
    return network, how


Build = Callable[[str, nn.Module], tuple[nn.Module, str]]
LIBRARIES: dict[str, tuple[Collection[str], Build]] = dict(
    timm=(_TIMM, _timm), torchvision=(_TORCHVISION, _torchvision)
)


def _of_timm(backbone: TimmNetwork) -> tuple[nn.Module, str]:
    import timm

    build = ''.join(f', {key}={value}' for key, value in backbone.options.items())
    return (
        timm.create_model(backbone.name, num_classes=0, **backbone.options),
        f"timm.create_model('{backbone.name}', num_classes=0{build})",
    )


def _of_torchvision(backbone: TorchvisionNetwork) -> tuple[nn.Module, str]:
    network = TorchvisionNetwork(backbone.name).network
    return network, (
        f"torchvision.models.get_model('{backbone.name}') without {backbone.classifier}"
    )


# Networks of a library by its name: their tensors keep its names.
_OF_LIBRARY: dict[str, tuple[type[nn.Module], Callable]] = dict(
    timm=(TimmNetwork, _of_timm), torchvision=(TorchvisionNetwork, _of_torchvision)
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
    network, how = library_network(library, student)
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
    if isinstance(backbone, _OF_LIBRARY[library][0]):
        return backbone.network.state_dict()  # type: ignore[union-attr,operator]
    names, _ = LIBRARIES[library]
    if arch is None or arch not in names:
        kind = f"'{arch}'" if arch else f'like {described(backbone)}'
        raise InputError(
            f'{library} has no network {kind}, only {", ".join(names)}: use --format '
            'state-dict for its own names'
        )
    return rename_to(library, arch, backbone.state_dict())


def library_network(library: str, student: Student) -> tuple[nn.Module, str]:
    """Build a student's network in a library; also returns how to build it."""
    kind, build = _OF_LIBRARY[library]
    if isinstance(student.backbone, kind):
        return build(student.backbone)
    arch: Any = student.network.arch
    return LIBRARIES[library][1](arch, student.backbone)


def described(backbone: nn.Module) -> str:
    """Class of a network, with its name in a library."""
    name = getattr(backbone, 'path' if _is_own(backbone) else 'name', None)
    kind = type(backbone).__name__
    return f"{kind} '{name}'" if isinstance(name, str) else kind


def _is_own(backbone: nn.Module) -> bool:
    return isinstance(backbone, ImportedNetwork)


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

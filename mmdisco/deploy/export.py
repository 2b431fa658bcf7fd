"""Export of a network as a graph for other runtimes."""

import io
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.utils import digit_version
from torch import Tensor, nn
from torch.export import Dim

from mmdisco.errors import InputError
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
                f'ONNX needs {name}: pip install onnx onnxruntime onnxscript'
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

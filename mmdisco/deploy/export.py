"""Graphs of a network for other runtimes, one function for each format."""

import io
from collections.abc import Callable
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim

from mmdisco.errors import InputError


class Reloaded(NamedTuple):
    """A written file, read again as whoever deploys it does."""

    run: Callable[[Tensor], tuple[Tensor, ...]] | None  # None: no runtime
    parameters: int
    note: str  # how to load it, or why it is not run


def to_torchscript(network: nn.Module, images: Tensor, path: Path) -> Reloaded:
    """Write TorchScript; not frozen, so that parameters stay parameters.

    Args:
        network (nn.Module): In eval mode; gives a tuple of tensors.
        images (Tensor): What it is traced with, [N, 3, H, W].
        path (Path): The file.
    """
    with torch.no_grad():
        traced = torch.jit.trace(network, images, check_trace=False)
        torch.jit.save(traced, str(path))
        loaded = torch.jit.load(str(path))
    return Reloaded(
        loaded, sum(p.numel() for p in loaded.parameters()), 'torch.jit.load(OUT)'
    )


def _exported(network: nn.Module, images: Tensor):
    with torch.no_grad():
        return torch.export.export(
            network, (images,), dynamic_shapes=({0: Dim('batch')},)
        )


def to_exported_program(network: nn.Module, images: Tensor, path: Path) -> Reloaded:
    """Write a ``torch.export`` program; arguments as above."""
    buffer = io.BytesIO()  # a path would have to end in .pt2
    torch.export.save(_exported(network, images), buffer)
    path.write_bytes(buffer.getvalue())
    loaded = torch.export.load(io.BytesIO(path.read_bytes()))
    return Reloaded(
        loaded.module(),
        sum(p.numel() for p in loaded.parameters()),
        'torch.export.load(OUT).module()',
    )


def to_onnx(network: nn.Module, images: Tensor, path: Path) -> Reloaded:
    """Write ONNX; arguments as above.

    The graph is left as it is: runtimes fuse what they can when they load
    it, and so each tensor keeps its name.

    Raises:
        InputError: If onnx or onnxscript is not installed.
    """
    for name in ('onnx', 'onnxscript'):
        if find_spec(name) is None:
            raise InputError(
                f'ONNX needs {name}: pip install -r requirements/export.txt'
            )
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


GRAPHS = {
    'onnx': to_onnx,
    'torchscript': to_torchscript,
    'exported-program': to_exported_program,
}

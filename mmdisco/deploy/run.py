"""Export of a student and comparison of the result with the original network."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmdisco.checkpoints.save import ending_of
from mmdisco.checkpoints.student import Student, load_student
from mmdisco.errors import InputError
from mmdisco.models.fast.reparameterize import Fused, fused
from mmdisco.models.outputs import FeatureMaps, Pooled, outputs_of
from mmdisco.utils import atomic_write
from .export import GRAPHS, Reloaded
from .libraries import LIBRARIES, described, to_library, to_state_dict

TOLERANCE = 1e-4  # as a fraction of an output's largest entry
# A network that amplifies rounding (BN of nearly constant channels does) may
# differ by more: OWN_ROUNDING times the effect of the pixels' last bit on the
# original network, at most AT_MOST of the largest entry.
OWN_ROUNDING, AT_MOST = 10, 1e-2
TRACED = 2  # images in the batch for tracing
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet


class Agreement(NamedTuple):
    """Difference of two networks on a batch, at the worst output."""

    images: int
    error: float  # largest absolute difference
    allowed: float
    largest: float  # largest absolute entry of the output


def photographs(size: int) -> Tensor:
    """Left and right part of scikit-learn's two photographs, ImageNet-normalised.

    Args:
        size (int): H and W, in pixels.

    Returns:
        Tensor: Normalised, [4, 3, H, W].
    """
    # local: this import takes most of a second
    from sklearn.datasets import load_sample_images

    photos = torch.stack(
        [
            torch.tensor(photo).permute(2, 0, 1) / 255
            for photo in load_sample_images().images
        ]
    )  # [2, 3, 427, 640]
    side = photos.shape[2]
    tiles = torch.cat([photos[..., :side], photos[..., -side:]])
    tiles = interpolate(
        tiles, size=(size, size), mode='bilinear', antialias=True, align_corners=False
    )
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (_MEAN, _STD))
    return (tiles - mean) / std


def random_images(num: int, size: int, seed: int = 0) -> Tensor:
    """Normal noise from a fixed seed, [N, 3, H, W]."""
    return torch.randn(num, 3, size, size, generator=_generator(seed))


def _last_bit(images: Tensor) -> Tensor:
    """Perturb the last bit of each pixel."""
    noise = 2 * torch.rand(images.shape, generator=_generator(1)) - 1
    return images * (1 + torch.finfo(images.dtype).eps * noise)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def agree(
    network: nn.Module, run: Callable[[Tensor], tuple[Tensor, ...]], images: Tensor
) -> Agreement:
    """Compare two networks on a batch.

    Args:
        network (nn.Module): The reference; returns a tuple of tensors.
        run (Callable): The network to compare with it.
        images (Tensor): [N, 3, H, W].

    Returns:
        Agreement: Of the output with the largest ratio of error to allowed
            error.

    Raises:
        InputError: If ``run`` fails, number or shapes of the outputs differ,
            or an entry differs by more than allowed.
    """
    try:
        with torch.no_grad():
            expected, actual = network(images), tuple(run(images))
            perturbed = network(_last_bit(images))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split('\n')[-1]
        raise InputError(
            f'it cannot run on {len(images)} images of '
            f'{images.shape[-1]} pixels: {reason}'
        ) from error
    shapes = [[list(x.shape) for x in y] for y in (expected, actual)]
    if shapes[0] != shapes[1]:
        raise InputError(f'its outputs have shapes {shapes[1]}, expected {shapes[0]}')
    pairs = []
    for a, b, c in zip(expected, actual, perturbed):
        difference, rounding, largest = (
            x.abs().max().item() for x in (a - b, a - c, a)
        )
        allowed = max(
            TOLERANCE * largest, min(OWN_ROUNDING * rounding, AT_MOST * largest)
        )
        pairs.append(Agreement(len(images), difference, allowed, largest))
    for pair in pairs:
        if not pair.error <= pair.allowed:  # also False for NaN
            raise InputError(
                f'its outputs differ by {pair.error:.1e} on {len(images)} '
                f'images, {pair.allowed:.1e} is allowed'
            )
    return max(pairs, key=lambda pair: pair.error / (pair.allowed or 1))


def agreements(
    network: nn.Module, run: Callable[[Tensor], tuple[Tensor, ...]], size: int
) -> dict[str, Agreement]:
    """Compare two networks on noise and on photographs.

    The batch sizes differ from the traced one.

    Args:
        network (nn.Module): The reference; returns a tuple of tensors.
        run (Callable): The network to compare with it.
        size (int): Height and width of images.

    Raises:
        InputError: See :func:`agree`.
    """
    return {
        'noise': agree(network, run, random_images(TRACED + 1, size)),
        'photographs': agree(network, run, photographs(size)),
    }


STATE_DICT = 'state-dict'
FORMATS = (*GRAPHS, *LIBRARIES, STATE_DICT)
_ENDINGS = {
    'onnx': ('.onnx', ''),
    'torchscript': ('.pt', '.pth', '.pt2', '.ts', '.torchscript', ''),
    'exported-program': ('.pt2', '.pt', '.pth', ''),
}


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _check_ending(out: str, format: str) -> None:
    """Check that the file name's ending matches the format.

    Raises:
        InputError: If it does not.
    """
    if format not in GRAPHS:
        ending_of(out)
    elif Path(out).suffix.lower() not in _ENDINGS[format]:
        raise InputError(
            f"'{out}' has another format's ending: --format {format} "
            f'writes *{", *".join(filter(None, _ENDINGS[format]))}'
        )


def export_student(
    checkpoint: str,
    out: str,
    format: str,
    arch: str | None = None,
    feature_maps: bool = False,
    size: int = 224,
    fuse: bool | None = None,
) -> str:
    """Export the backbone of a checkpoint and verify the result.

    Args:
        checkpoint (str): Any file that :func:`load_student` reads.
        out (str): File to write.
        format (str): One of :data:`FORMATS`.
        arch (str, optional): Name of the network, if the file does not record
            it.
        feature_maps (bool): Output maps at strides 4 to 32 instead of one
            vector per image. Defaults to False.
        size (int): Height and width of images. Defaults to 224.
        fuse (bool, optional): Fuse branches and batch norms in a graph. Defaults
            to None: in networks of other libraries, not in this project's archs.

    Returns:
        str: The report.

    Raises:
        InputError: If the checkpoint can't be used, the format does not fit,
            or the written network differs from the original. No file is
            written then.
    """
    _check_ending(out, format)
    student = load_student(checkpoint, arch)
    if feature_maps and format not in GRAPHS:
        raise InputError(
            f'--feature-maps is for graphs ({", ".join(GRAPHS)}): '
            f'leave it out for {format}, which has its own way to return maps'
        )
    if fuse and format not in GRAPHS:
        raise InputError(
            f'--fuse is for graphs ({", ".join(GRAPHS)}): leave it out for {format}, '
            'which keeps the names of all tensors'
        )
    if format == 'torchscript':
        print_log(
            f"'{out}': TorchScript is deprecated since PyTorch 2.10, use --format "
            'exported-program instead',
            'current',
            level=logging.WARNING,
        )
    plain = _count(student.backbone)
    network: FeatureMaps | Pooled = (
        FeatureMaps(student.backbone) if feature_maps else Pooled(student.backbone)
    )
    network.eval()
    images = random_images(TRACED, size)
    outputs = outputs_of(network, images)
    account = None
    if format in GRAPHS and (student.network.arch is None if fuse is None else fuse):
        account = fused(network, images)
    graph: Any = account.network if account else network
    with atomic_write(out) as half, warnings.catch_warnings():
        # about shapes that become constants: the result is verified on other
        # images below
        warnings.simplefilter('ignore', UserWarning)
        # torch 2.11 copies its own deprecated class when it exports ONNX
        warnings.filterwarnings('ignore', module='copyreg')
        if format in GRAPHS:
            reloaded = GRAPHS[format](graph, images, half)
        elif format == STATE_DICT:
            reloaded = to_state_dict(student, half, ending_of(out))
        else:
            reloaded = to_library(format, student, half, ending_of(out))
        kept = _count(graph)
        if reloaded.parameters != kept:
            raise InputError(
                f"'{out}' would have {reloaded.parameters:,} parameters, the "
                f'network has {kept:,}: not written'
            )
        try:
            compared = agreements(network, reloaded.run, size) if reloaded.run else {}
        except InputError as error:
            raise InputError(f"'{out}' was not written: {error}") from error
    shapes = {
        name: ['N', *output.shape[1:]] for name, output in zip(network.names, outputs)
    }
    return '\n'.join(
        _report(
            student,
            Path(out),
            format,
            shapes,
            size,
            plain,
            _count(network),
            account,
            reloaded,
            compared,
        )
    )


def _report(
    student: Student,
    out: Path,
    format: str,
    shapes: dict[str, list],
    size: int,
    plain: int,
    kept: int,
    account: Fused | None,
    reloaded: Reloaded,
    compared: dict[str, Agreement],
) -> list[str]:
    kind = described(student.backbone)
    arch = student.network.arch
    left = f' ({plain - kept:,} behind the last map removed)'
    lines = [
        f'{out}: {format}, {out.stat().st_size / 2**20:.1f} MiB',
        f'  network      {f"{arch}, " if arch else ""}{kind}; images '
        f'[N, 3, {size}, {size}]',
        *(
            f'  output       {name} {shape}'.replace("'", '')
            for name, shape in shapes.items()
        ),
        f'  parameters   {reloaded.parameters:,} in the file, {plain:,} in '
        f'the plain backbone{left if kept < plain else ""}'
        + ('' if account else ': no extra parameter at deployment'),
        *([f'  fused        {account.report()}'] if account else []),
    ]
    for name, result in compared.items():
        lines.append(
            f'  {name:<12} max error {result.error:.1e} in a batch of '
            f'{result.images} (traced with {TRACED}); {result.allowed:.1e} '
            f'is allowed, {result.allowed / (result.largest or 1):.0e} of '
            'the largest entry'
        )
    lines.append(
        f'  load with    {reloaded.note}'
        if compared
        else f'  not compared {reloaded.note}'
    )
    return lines

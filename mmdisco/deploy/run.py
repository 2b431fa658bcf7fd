"""Export of a student and comparison of the result with the original network."""

import logging
import warnings
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmdisco.checkpoints.save import ending_of
from mmdisco.checkpoints.student import Student, load_student
from mmdisco.errors import InputError
from mmdisco.models.fast.reparameterize import Fused, fused
from mmdisco.models.outputs import FeatureMaps, Pooled, outputs_of
from mmdisco.utils import atomic_write
from .card import Card
from .compare import TRACED, Agreement, agreements, random_images, report_lines
from .export import GRAPHS, Reloaded
from .libraries import LIBRARIES, described, to_library, to_state_dict
from .timm_folder import is_folder, publish_timm_folder

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


def _check_options(format: str, feature_maps: bool, fuse: bool | None) -> None:
    """Check that options of graphs are for a graph.

    Raises:
        InputError: If they are not.
    """
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


def export_student(
    checkpoint: str,
    out: str,
    format: str,
    arch: str | None = None,
    feature_maps: bool = False,
    size: int | None = None,
    fuse: bool | None = None,
    card: Card | None = None,
    command: str = '',
) -> str:
    """Export the backbone of a checkpoint and verify the result.

    Args:
        checkpoint (str): Any file that :func:`load_student` reads.
        out (str): File to write. For timm, a folder if it exists or has no ending,
            see :func:`publish_timm_folder`.
        format (str): One of :data:`FORMATS`.
        arch (str, optional): Name of the network, if the file does not record
            it.
        feature_maps (bool): Output maps at strides 4 to 32 instead of one
            vector per image. Defaults to False.
        size (int, optional): Height and width of images. Defaults to None: those
            of the training if the file records them, else 224.
        fuse (bool, optional): Fuse branches and batch norms in a graph. Defaults
            to None: in networks of other libraries, not in this project's archs.
        card (Card, optional): What the user says about the student, for timm's
            folder. Defaults to None.
        command (str): Command that the card names. Defaults to ''.

    Returns:
        str: The report.

    Raises:
        InputError: If the checkpoint can't be used, the format does not fit,
            or the written network differs from the original. No file is
            written then.
    """
    folder = format == 'timm' and is_folder(out)
    if not folder:
        _check_ending(out, format)
        if card is not None:
            raise InputError(
                f"'{out}': a model card is for the folder of --format timm: name a "
                'folder, without an ending'
            )
    _check_options(format, feature_maps, fuse)
    if folder:
        return publish_timm_folder(checkpoint, out, arch, size, card, command)
    student = load_student(checkpoint, arch)
    size = size or student.size
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
    lines += report_lines(compared)
    lines.append(
        f'  load with    {reloaded.note}'
        if compared
        else f'  not compared {reloaded.note}'
    )
    return lines

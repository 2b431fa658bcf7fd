import warnings
from pathlib import Path

from torch import nn

from mmdisco.checkpoints.save import ending_of
from mmdisco.checkpoints.student import Student, load_student
from mmdisco.errors import InputError
from mmdisco.utils import atomic_write
from .check import TRACED, Agreement, agreements, random_images
from .export import GRAPHS, Reloaded
from .libraries import LIBRARIES, to_library
from .outputs import FeatureMaps, Pooled, outputs_of

FORMATS = (*GRAPHS, *LIBRARIES)
_ENDINGS = {
    'onnx': ('.onnx', ''),
    'torchscript': ('.pt', '.pth', '.pt2', '.ts', '.torchscript', ''),
    'exported-program': ('.pt2', '.pt', '.pth', ''),
}


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _check_ending(out: str, format: str) -> None:
    """Refuse a name that says another format.

    Raises:
        InputError: If it does.
    """
    if format in LIBRARIES:
        ending_of(out)
    elif Path(out).suffix.lower() not in _ENDINGS[format]:
        raise InputError(
            f"'{out}' would not be what its ending says: --format {format} "
            f'writes *{", *".join(filter(None, _ENDINGS[format]))}'
        )


def export_student(
    checkpoint: str,
    out: str,
    format: str,
    arch: str | None = None,
    feature_maps: bool = False,
    size: int = 224,
) -> str:
    """Write the backbone of a checkpoint in another format, and check it.

    Args:
        checkpoint (str): Any file that :func:`load_student` reads.
        out (str): The file to write.
        format (str): One of :data:`FORMATS`.
        arch (str, optional): Name of the network, if the file does not tell.
        feature_maps (bool): Give maps at strides 4 to 32 instead of one
            vector per image. Defaults to False.
        size (int): Height and width of images. Defaults to 224.

    Returns:
        str: The report.

    Raises:
        InputError: If the file can't be used, the format does not fit, or
            what was written is not the same network; nothing is kept then.
    """
    _check_ending(out, format)
    student = load_student(checkpoint, arch)
    if feature_maps and format in LIBRARIES:
        raise InputError(
            f'--feature-maps is for graphs; {format} makes maps of its own networks'
        )
    plain = _count(student.backbone)
    network = (FeatureMaps if feature_maps else Pooled)(student.backbone)
    network.eval()
    images = random_images(TRACED, size)
    outputs = outputs_of(network, images)
    with atomic_write(out) as half, warnings.catch_warnings():
        # of shapes that became constants, and of torch on itself: what was
        # written is tried on other images afterwards
        warnings.simplefilter('ignore')
        if format in GRAPHS:
            reloaded = GRAPHS[format](network, images, half)
        else:
            reloaded = to_library(format, student, half, ending_of(out))
        kept = _count(network)
        if reloaded.parameters != kept:
            raise InputError(
                f"'{out}' would have {reloaded.parameters:,} parameters, the "
                f'network has {kept:,}: it was not kept'
            )
        try:
            compared = agreements(network, reloaded.run, size) if reloaded.run else {}
        except InputError as error:
            raise InputError(f"'{out}' was not kept: {error}") from error
    shapes = {
        name: ['N', *output.shape[1:]] for name, output in zip(network.names, outputs)
    }
    return '\n'.join(
        _report(
            student, Path(out), format, shapes, size, plain, kept, reloaded, compared
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
    reloaded: Reloaded,
    compared: dict[str, Agreement],
) -> list[str]:
    kind = type(student.backbone).__name__
    arch = student.network.arch
    left = f' ({plain - kept:,} behind the last map are left out)'
    lines = [
        f'{out}: {format}, {out.stat().st_size / 2**20:.1f} MiB',
        f'  network      {f"{arch}, " if arch else ""}{kind}; images '
        f'[N, 3, {size}, {size}]',
        *(
            f'  output       {name} {shape}'.replace("'", '')
            for name, shape in shapes.items()
        ),
        f'  parameters   {reloaded.parameters:,} in the file, {plain:,} in '
        f'the plain backbone{left if kept < plain else ""}: no extra '
        'parameter at deployment',
    ]
    for name, result in compared.items():
        lines.append(
            f'  {name:<12} max error {result.error:.1e} in a batch of '
            f'{result.images} (traced with {TRACED}); {result.allowed:.1e} '
            f'is allowed, {result.allowed / (result.largest or 1):.0e} of '
            'the largest entry'
        )
    lines.append(
        f'  load it by   {reloaded.note}'
        if compared
        else f'  not compared {reloaded.note}'
    )
    return lines

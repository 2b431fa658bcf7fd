from typing import Iterable, List, NamedTuple, Optional

from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.converters import arch_config
from mmdisco.converters.archs import TEACHERS
from mmdisco.errors import InputError
from .activations import forward_peak, on_meta, saved_per_image
from .flops import multiply_adds

PAPER_M = 2**20  # what the paper calls a million
SMALLEST = 32  # pixels


class Complexity(NamedTuple):
    """What a network costs; bytes are fp32."""

    name: str
    kind: str  # 'teacher' or 'student'
    parameters: int  # of the backbone, which is what is deployed
    with_neck: int
    papers_millions: float  # by the paper's convention
    multiply_adds: int  # forward pass of one image
    peak_bytes: int  # forward pass of one image
    saved_bytes: int  # of a training step, per image
    width: int  # of the feature


def count(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in network.parameters())


def papers_millions(parameters: int, width: Optional[int] = None) -> float:
    """Parameters as the paper counts them: in units of 2^20.

    Its teachers are backbones; its students have one linear layer to 128.

    Args:
        parameters (int): Of the backbone.
        width (int, optional): Of a student's feature; None for a teacher.
    """
    linear = 0 if width is None else 128 * (width + 1)
    return (parameters + linear) / PAPER_M


def complexity(name: str, size: int = 224) -> Complexity:
    """Count what an arch costs.

    Args:
        name (str): As in :mod:`mmdisco.converters.archs`.
        size (int): Height and width of images. Defaults to 224.

    Raises:
        InputError: If the arch is not known, or images are too small.
    """
    if size < SMALLEST:
        raise InputError(
            f'images of {size} pixels are too small: at least '
            f'{SMALLEST} are one position of the last map'
        )
    arch = arch_config(name)
    init_default_scope('mmpretrain')
    backbone, neck = MODELS.build(arch.backbone), MODELS.build(arch.neck)
    parameters, width = count(backbone), arch.neck['in_channels']
    kind = 'teacher' if name in TEACHERS else 'student'
    flops = multiply_adds(backbone, size)
    backbone = on_meta(backbone)
    return Complexity(
        name,
        kind,
        parameters,
        parameters + count(neck),
        papers_millions(parameters, width if kind == 'student' else None),
        flops,
        forward_peak(backbone, size),
        saved_per_image(backbone, size),
        width,
    )


HEAD = (
    f'{"":<9}{"backbone":>12}{"with neck":>12}{"paper M":>9}'
    f'{"G mult-add":>12}{"peak MiB":>10}{"saved MiB":>11}'
)


def table(rows: Iterable[Complexity]) -> List[str]:
    """Lines of a table, under :data:`HEAD`."""
    return [
        f'{row.name:<9}{row.parameters:>12,}{row.with_neck:>12,}'
        f'{row.papers_millions:>9.3f}{row.multiply_adds / 1e9:>12.3f}'
        f'{row.peak_bytes / 2**20:>10.1f}{row.saved_bytes / 2**20:>11.1f}'
        for row in rows
    ]

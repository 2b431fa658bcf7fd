"""The paper's numbers, and its sizes of networks next to counted ones."""

from pathlib import Path
from typing import NamedTuple

import yaml
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.checkpoints import arch_config
from mmdisco.deploy.complexity import PAPER_M, count, papers_millions
from mmdisco.paths import project_root

# the paper's numbers, and those of other methods as their authors report them
FILES = ('benchmarks/paper.yml', 'benchmarks/reported.yml')
XCIT = {  # name: arch and differing settings
    f'XCiT-{kind}{depth}': (
        arch,
        dict(depth=depth, layer_scale_init_value=1.0 if depth == 12 else 1e-5),
    )
    for kind, arch in (('T', 'xcitt'), ('S', 'xcits'))
    for depth in (12, 24)
}


def read_numbers(root: Path | None = None) -> dict:
    """Read both files of reported numbers.

    Args:
        root (Path, optional): Folder of ``benchmarks``. Defaults to this clone.

    Returns:
        dict: The content of both, with the ``names`` of both.
    """
    root = project_root() if root is None else root
    files = [yaml.safe_load((root / file).read_text()) for file in FILES]
    names = {key: name for file in files for key, name in file['names'].items()}
    return {key: value for file in files for key, value in file.items()} | dict(
        names=names
    )


class Ratio(NamedTuple):
    """EfficientNet-B0's parameters in per cent of a teacher's."""

    teacher: str
    printed: float
    papers: float  # student with its linear layer, teacher with classifier
    backbones: float  # both without either
    classifiers: float  # both with ImageNet's classifier


def _size(name: str, **changes: object) -> tuple[int, int]:
    """Parameters of a backbone, and with ImageNet's classifier."""
    init_default_scope('mmpretrain')
    arch = arch_config(name)
    parameters = count(MODELS.build({**arch.backbone, **changes}))
    return parameters, parameters + 1000 * (arch.neck['in_channels'] + 1)


def ratios() -> list[Ratio]:
    """The paper's two ratios, counted in its way and consistently."""
    width = arch_config('effb0').neck['in_channels']
    alone, whole = _size('effb0')
    rows = []
    for teacher, printed in read_numbers()['ratios']['effb0_percent_of'].items():
        backbone, with_fc = _size(teacher)
        rows.append(
            Ratio(
                teacher,
                printed,
                100 * papers_millions(alone, width) / (with_fc / PAPER_M),
                100 * alone / backbone,
                100 * whole / with_fc,
            )
        )
    return rows


def readings(name: str, **changes: object) -> dict[str, float]:
    """All ways to state the size of a network, in millions.

    Args:
        name (str): An arch.
        changes: Differing settings of its backbone.

    Returns:
        dict: The size by way of counting.
    """
    alone, whole = _size(name, **changes)
    return {
        'backbone, 10^6': alone / 1e6,
        'backbone, 2^20': alone / PAPER_M,
        'with classifier, 10^6': whole / 1e6,
        'with classifier, 2^20': whole / PAPER_M,
        'MB of the backbone in fp32': 4 * alone / 1e6,
    }


def explanations(printed: float, candidates: dict[str, dict[str, float]]) -> list[str]:
    """Readings of networks that round to a printed size.

    Args:
        printed (float): With one decimal.
        candidates (dict): :func:`readings` by network.

    Returns:
        list[str]: One phrase per reading.
    """
    return [
        f'{network}: {how}, {value:.2f}'
        for network, sizes in candidates.items()
        for how, value in sizes.items()
        if f'{value:.1f}' == f'{printed}'
    ]


def impossible() -> list[str]:
    """One line on each printed size that its network cannot have."""
    printed = read_numbers()['sizes']['millions']
    resnets = {name: readings(name) for name in ('r50w2', 'r152')}
    xcits = {name: readings(arch, **changes) for name, (arch, changes) in XCIT.items()}
    lines = []
    for name, label, counted, among in (
        ('r50w2', 'ResNet-50x2', resnets['r50w2'], resnets),
        ('xcitt', 'XCiT-tiny', xcits['XCiT-T12'], xcits),
        ('xcits', 'XCiT-small', xcits['XCiT-S12'], xcits),
    ):
        fits = '; '.join(explanations(printed[name], among))
        lines.append(
            f'{label}: {printed[name]} printed, {counted["backbone, 10^6"]:.2f} '
            f'million counted ({counted["backbone, 2^20"]:.2f} in units of 2^20). '
            f'Fits {fits or "none of " + ", ".join(among)}'
        )
    return lines

"""Sizes that the paper prints, and what they are counted here."""

from typing import NamedTuple

from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.checkpoints import arch_config
from mmdisco.deploy.complexity import PAPER_M, count, papers_millions

PRINTED_RATIOS = dict(r101=9.4, r50=16.3)  # EfficientNet-B0 in % of these
PRINTED = dict(r50w2=55.5, xcitt=26.1, xcits=44.3)  # in millions
XCIT = {  # name: arch and what else differs
    f'XCiT-{kind}{depth}': (
        arch,
        dict(depth=depth, layer_scale_init_value=1.0 if depth == 12 else 1e-5),
    )
    for kind, arch in (('T', 'xcitt'), ('S', 'xcits'))
    for depth in (12, 24)
}


class Ratio(NamedTuple):
    """EfficientNet-B0's parameters in per cent of a teacher's."""

    teacher: str
    printed: float
    papers: float  # student with its linear layer, teacher with classifier
    backbones: float  # neither has any
    classifiers: float  # both have ImageNet's


def _size(name: str, **changes) -> tuple:
    """Parameters of a backbone, and with ImageNet's classifier."""
    init_default_scope('mmpretrain')
    arch = arch_config(name)
    parameters = count(MODELS.build({**arch.backbone, **changes}))
    return parameters, parameters + 1000 * (arch.neck['in_channels'] + 1)


def ratios() -> list[Ratio]:
    """The two ratios of the paper, its way and consistently."""
    width = arch_config('effb0').neck['in_channels']
    alone, whole = _size('effb0')
    found = []
    for teacher, printed in PRINTED_RATIOS.items():
        backbone, with_fc = _size(teacher)
        found.append(
            Ratio(
                teacher,
                printed,
                100 * papers_millions(alone, width) / (with_fc / PAPER_M),
                100 * alone / backbone,
                100 * whole / with_fc,
            )
        )
    return found


def readings(name: str, **changes) -> dict[str, float]:
    """All ways to state the size of a network, in millions.

    Args:
        name (str): An arch.
        changes: Settings of its backbone that differ.
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
    """Which readings of which networks round to what is printed.

    Args:
        printed (float): With one decimal.
        candidates (dict): :func:`readings` by network.
    """
    return [
        f'{network}: {how}, {value:.2f}'
        for network, found in candidates.items()
        for how, value in found.items()
        if f'{value:.1f}' == f'{printed}'
    ]


def impossible() -> list[str]:
    """Lines on each printed size that its network can't have."""
    resnets = {name: readings(name) for name in ('r50w2', 'r152')}
    xcits = {name: readings(arch, **changes) for name, (arch, changes) in XCIT.items()}
    lines = []
    for name, label, own, among in (
        ('r50w2', 'ResNet-50x2', resnets['r50w2'], resnets),
        ('xcitt', 'XCiT-tiny', xcits['XCiT-T12'], xcits),
        ('xcits', 'XCiT-small', xcits['XCiT-S12'], xcits),
    ):
        fits = '; '.join(explanations(PRINTED[name], among))
        lines.append(
            f'{label}: {PRINTED[name]} printed, {own["backbone, 10^6"]:.2f} '
            f'million counted ({own["backbone, 2^20"]:.2f} in units of 2^20). '
            f'It would fit {fits or "none of " + ", ".join(among)}'
        )
    return lines

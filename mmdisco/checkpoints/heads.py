"""Projection heads of the published checkpoints, as tables."""

from collections.abc import Callable
from typing import NamedTuple


class Head(NamedTuple):
    """A projection head: names of its layers, and config of its neck."""

    name: str
    rows: tuple[tuple[str, str], ...]  # (path in the file, path here)
    neck: Callable[[tuple[int, ...]], dict]  # widths, in to out -> config
    mark: str  # key that only this head has


def _mocov2(widths: tuple[int, ...]) -> dict:
    return dict(
        type='MoCoV2Neck',
        in_channels=widths[0],
        hid_channels=widths[1],
        out_channels=widths[2],
    )


def _linear(widths: tuple[int, ...]) -> dict:
    return dict(
        type='LinearNeck',
        in_channels=widths[0],
        out_channels=widths[1],
        gap_dim=2,
        norm_cfg=None,
    )


def _swav(widths: tuple[int, ...]) -> dict:
    return dict(
        type='NonLinearNeck',
        in_channels=widths[0],
        hid_channels=widths[1],
        out_channels=widths[2],
        with_bias=True,
        with_last_bias=True,
        with_last_bn=False,
        norm_cfg=dict(type='BN1d'),
    )


def _mocov3(widths: tuple[int, ...]) -> dict:
    return dict(
        type='NonLinearNeck',
        in_channels=widths[0],
        hid_channels=widths[1],
        out_channels=widths[2],
        with_last_bn_affine=False,
        norm_cfg=dict(type='BN1d'),
    )


def _dino(widths: tuple[int, ...]) -> dict:
    return dict(
        type='DINONeck',
        in_channels=widths[0],
        hid_channels=widths[1],
        out_channels=widths[-1],
    )


def _two_layers(path: str) -> Head:
    return Head(
        'two layers',
        ((f'{path}.0', 'mlp.0'), (f'{path}.2', 'mlp.2')),
        _mocov2,
        f'{path}.2.weight',
    )


MOCO = (
    _two_layers('fc'),
    _two_layers('classifier'),
    *(
        Head('one layer', ((path, 'fc'),), _linear, f'{path}.weight')
        for path in ('fc', 'classifier')
    ),
)
MOCOV3 = (
    Head(
        'two layers with BN',
        (('fc.0', 'fc0'), ('fc.1', 'bn0'), ('fc.3', 'fc1'), ('fc.4', 'bn1')),
        _mocov3,
        'fc.3.weight',
    ),
)
SWAV = (
    Head(
        'two layers with BN',
        (
            ('projection_head.0', 'fc0'),
            ('projection_head.1', 'bn0'),
            ('projection_head.3', 'fc1'),
        ),
        _swav,
        'projection_head.3.weight',
    ),
)
DINO = (
    Head(
        'three layers to the bottleneck',
        (('mlp.0', 'mlp.0'), ('mlp.2', 'mlp.2'), ('mlp.4', 'mlp.4')),
        _dino,
        'mlp.4.weight',
    ),
)
# With this project's names; the tensors determine all settings of the neck
OURS = (
    Head(
        'two layers', (('mlp.0', 'mlp.0'), ('mlp.2', 'mlp.2')), _mocov2, 'mlp.2.weight'
    ),
    Head('one layer', (('fc', 'fc'),), _linear, 'fc.weight'),
)

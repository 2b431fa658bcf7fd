"""Compare converted weights with an arch, and report the result."""

from typing import NamedTuple

from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.errors import InputError
from .checkpoint import misfits
from .convert import Conversion
from .network import ARCHS, TEACHERS, Arch, arch_config


class Fit(NamedTuple):
    """Result of comparing converted weights with a network."""

    backbone: dict  # config of the backbone
    neck: dict | None  # config of the neck, None without a head
    missing: list[str]
    unexpected: list[str]
    misfit: list[str]  # other shapes, with both sides

    @property
    def faults(self) -> int:
        """Number of tensors that do not fit."""
        return len(self.missing) + len(self.unexpected) + len(self.misfit)


def _kind(neck: dict) -> dict:
    """A neck's config without its widths."""
    return {k: v for k, v in neck.items() if not k.endswith('_channels')}


def _neck_of(conversion: Conversion, arch: Arch) -> dict | None:
    """Config of the head: the arch's, or the file's if that may differ."""
    if not any(k.startswith('neck.') for k in conversion.state_dict):
        return None
    neck = conversion.neck
    if neck is None or neck == arch.neck:
        return arch.neck
    if _kind(neck) == _kind(arch.neck):
        # A student's head may have other widths; a teacher's embedding is fixed.
        return arch.neck if arch.name in TEACHERS else neck
    named = [
        name
        for name in ARCHS
        if _kind(arch_config(name).neck) == _kind(neck)
        and arch_config(name).backbone == arch.backbone
    ]
    if named:
        raise InputError(
            f"its projection head is that of '{named[0]}', not "
            f"of '{arch.name}': use --arch {named[0]}"
        )
    return neck  # of MoCo-v1 or -v3, for which no config exists


def fit(conversion: Conversion, arch: Arch) -> Fit:
    """Compare converted weights with an arch.

    Args:
        conversion (Conversion): The weights.
        arch (Arch): The network.

    Raises:
        InputError: If the head belongs to another arch.
    """
    init_default_scope('mmpretrain')
    backbone = {**arch.backbone, **conversion.overrides}
    neck = _neck_of(conversion, arch)
    expected = {
        f'{part}.{key}': value
        for part, cfg in (('backbone', backbone), ('neck', neck))
        if cfg
        for key, value in MODELS.build(cfg).state_dict().items()
    }
    tensors = conversion.state_dict
    return Fit(
        backbone,
        neck,
        missing=conversion.missing
        + [
            k
            for k in expected
            if k not in tensors and not (conversion.missing and k.startswith('neck.'))
        ],
        unexpected=conversion.unexpected + [k for k in tensors if k not in expected],
        misfit=misfits(tensors, expected),
    )


def widths_of(conversion: Conversion) -> dict[str, int]:
    """Widths along the projection head, {} without one."""
    layers = [
        v
        for k, v in conversion.state_dict.items()
        if k.startswith('neck.') and v.dim() == 2
    ]
    if not layers:
        return {}
    return dict(
        features=layers[0].shape[1],
        **({'hidden': layers[0].shape[0]} if len(layers) > 1 else {}),
        embedding=layers[-1].shape[0],
    )


def _some(keys: list[str]) -> str:
    return f'{", ".join(keys[:3])}{", …" if len(keys) > 3 else ""}'


def report(conversion: Conversion, result: Fit, source: dict[str, str]) -> str:
    """Report, line by line, what was done with each tensor of a file.

    Args:
        conversion (Conversion): The converted weights.
        result (Fit): Result of :func:`fit`.
        source (dict): Name of the file, ``source``, and its ``sha256``.
    """
    keys = conversion.state_dict
    head = sum(k.startswith('neck.') for k in keys)
    lines = [
        f'source      {source["source"]} (sha256 {source["sha256"]})',
        f'family      {conversion.family}, backbone as {conversion.library} names it',
        f'taken       {conversion.taken}',
        f'converted   {len(keys)} tensors: {len(keys) - head} of the backbone, '
        f'{head} of the projection head'
        + (
            f'; {conversion.counters} BN batch counters, absent in the file, '
            'are set to 0'
            if conversion.counters
            else ''
        ),
    ]
    lines += [
        f'left out    {len(left)}: {why} ({_some(left)})'
        for why, left in conversion.left_out.items()
    ]
    lines += [
        f'{what:<12}{len(names)}{": " * bool(names)}{_some(names)}'
        for what, names in (
            ('missing', result.missing),
            ('unexpected', result.unexpected),
            ('misfit', result.misfit),
        )
    ]
    widths = widths_of(conversion)
    lines.append(
        'widths      '
        + (
            ', '.join(f'{name} {width}' for name, width in widths.items())
            or 'no projection head in this family: usable as initial weights, '
            'not as a teacher'
        )
    )
    if conversion.neck and result.neck:
        lines.append(f'neck        {result.neck}')
    if conversion.assumed:
        lines.append(f'assumed     {conversion.assumed}')
    if conversion.alike:
        lines.append(
            f'alike       {conversion.alike} have the same keys but '
            'are other networks: not supported'
        )
    if conversion.overrides:
        lines.append(
            f'note        set backbone {dict(conversion.overrides)}: '
            'these weights were trained with it'
        )
    return '\n'.join(lines)

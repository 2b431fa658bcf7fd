from typing import NamedTuple

from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.errors import InputError
from .checkpoint import misfits
from .convert import Conversion
from .network import ARCHS, TEACHERS, Arch, arch_config


class Fit(NamedTuple):
    """How converted weights fit a network."""

    backbone: dict  # config that they are for
    neck: dict | None  # config, None if there is no head
    missing: list[str]
    unexpected: list[str]
    misfit: list[str]  # with both shapes

    @property
    def faults(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misfit)


def _kind(neck: dict) -> dict:
    """A neck's config but for its widths."""
    return {k: v for k, v in neck.items() if not k.endswith('_channels')}


def _neck_of(conversion: Conversion, arch: Arch) -> dict | None:
    """Config of the head: the arch's, or the file's where that may differ."""
    if not any(k.startswith('neck.') for k in conversion.state_dict):
        return None
    found = conversion.neck
    if found is None or found == arch.neck:
        return arch.neck
    if _kind(found) == _kind(arch.neck):
        # Of a student the backbone counts; a teacher's embedding is fixed.
        return arch.neck if arch.name in TEACHERS else found
    named = [
        name
        for name in ARCHS
        if _kind(arch_config(name).neck) == _kind(found)
        and arch_config(name).backbone == arch.backbone
    ]
    if named:
        raise InputError(
            f"its projection head is that of '{named[0]}', not "
            f"of '{arch.name}': use --arch {named[0]}"
        )
    return found  # of MoCo-v1 or -v3, which no config has


def fit(conversion: Conversion, arch: Arch) -> Fit:
    """Compare converted weights with the network that they are for.

    Args:
        conversion (Conversion): The weights.
        arch (Arch): The network.

    Raises:
        InputError: If the head is that of another arch.
    """
    init_default_scope('mmpretrain')
    backbone = {**arch.backbone, **conversion.overrides}
    neck = _neck_of(conversion, arch)
    own = {
        f'{part}.{key}': value
        for part, cfg in (('backbone', backbone), ('neck', neck))
        if cfg
        for key, value in MODELS.build(cfg).state_dict().items()
    }
    theirs = conversion.state_dict
    return Fit(
        backbone,
        neck,
        missing=conversion.missing
        + [
            k
            for k in own
            if k not in theirs and not (conversion.missing and k.startswith('neck.'))
        ],
        unexpected=conversion.unexpected + [k for k in theirs if k not in own],
        misfit=misfits(theirs, own),
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
    """What became of each tensor of a file, in lines.

    Args:
        conversion (Conversion): The renamed weights.
        result (Fit): How they fit.
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
            f'; {conversion.counters} counters of batches, which the file has '
            'not, are 0'
            if conversion.counters
            else ''
        ),
    ]
    lines += [
        f'left out    {len(left)}: {why} ({_some(left)})'
        for why, left in conversion.left_out.items()
    ]
    lines += [
        f'{what:<12}{len(found)}{": " * bool(found)}{_some(found)}'
        for what, found in (
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
            or 'no projection head in this family: a start for students, no teacher'
        )
    )
    if conversion.neck and result.neck:
        lines.append(f'neck        {result.neck}')
    if conversion.assumed:
        lines.append(f'assumed     {conversion.assumed}')
    if conversion.alike:
        lines.append(
            f'alike       {conversion.alike} have the same keys and '
            'are other networks: they can not be taken'
        )
    if conversion.overrides:
        lines.append(
            f'note        set backbone {dict(conversion.overrides)}: '
            'these weights were learned so'
        )
    return '\n'.join(lines)

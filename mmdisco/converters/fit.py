from typing import NamedTuple

from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.errors import InputError
from .archs import ARCHS, TEACHERS, Arch, arch_config
from .checkpoint import misfits
from .convert import Conversion


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

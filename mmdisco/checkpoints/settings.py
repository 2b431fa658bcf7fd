"""Settings that no tensor shows: a file's against a network's."""

import logging
from collections.abc import Mapping
from inspect import signature
from typing import Any

from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmengine.logging import print_log
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdisco.errors import InputError
from .config_text import read_parts
from .convert import Conversion

_NORMS = {'BN': _BatchNorm, 'LN': nn.LayerNorm}
_PADDING = {True: 'padding as TensorFlow', False: 'padding alike on both sides'}


def _stated(meta: Mapping) -> Mapping:
    """Backbone's config that a file holds, with the defaults of its class."""
    backbone = meta.get('backbone')
    if isinstance(meta.get('cfg'), str):
        try:
            backbone = read_parts(meta['cfg']).backbone
        except InputError:  # of more than plain values: unknown
            return {}
    if not isinstance(backbone, Mapping):
        return {}
    kind = backbone.get('type')
    if not isinstance(kind, str) or kind not in MODELS.module_dict:
        return {}
    defaults = signature(MODELS.module_dict[kind]).parameters
    return {
        **{
            name: defaults[name].default
            for name in ('norm_cfg', 'conv_cfg')
            if name in defaults
        },
        **backbone,
    }


def _faults(settings: Mapping, backbone: nn.Module, where: str) -> list[str]:
    """Where a network has other settings."""
    faults = []
    norm = settings.get('norm_cfg')
    norm = norm if isinstance(norm, Mapping) else {}
    kind = str(norm.get('type'))
    name = next((name for name in _NORMS if name in kind), '')
    if name:
        eps = norm.get('eps', 1e-5)
        values: set[Any] = {
            m.eps for m in backbone.modules() if isinstance(m, _NORMS[name])
        }
        found = sorted(values)
        # a network may have norms of its own besides, as Swin between stages
        if found and eps not in found:
            faults.append(
                f'{name} eps {eps:g}, the backbone has '
                f'{", ".join(f"{e:g}" for e in found)}: set '
                f'{where}.norm_cfg.eps'
            )
    if 'conv_cfg' in settings:
        conv = settings['conv_cfg']
        kind = str(conv.get('type')) if isinstance(conv, Mapping) else ''
        as_tf = kind == 'Conv2dAdaptivePadding'
        found = [
            isinstance(m, Conv2dAdaptivePadding)
            for m in backbone.modules()
            if isinstance(m, nn.Conv2d)
        ]
        if found and any(found) != as_tf:
            faults.append(
                f'{_PADDING[as_tf]}, the backbone has '
                f'{_PADDING[not as_tf]}: set {where}.conv_cfg to '
                f'{dict(conv) if conv else None}'
            )
    return faults


def check_settings(
    conversion: Conversion, backbone: nn.Module, name: str, where: str
) -> None:
    """Refuse weights that were learned with other settings than a network's.

    Epsilons of norms and padding are compared: with others the same tensors
    are another function. Of a file that may be several networks, one of them
    has to fit, and a warning says what was assumed.

    Args:
        conversion (Conversion): Of the file.
        backbone (nn.Module): That its weights are for.
        name (str): What the file is, for the message.
        where (str): Where the backbone's config is, as 'model.backbone'.

    Raises:
        InputError: If a setting differs, with both values.
    """
    choices = conversion.choices or (conversion.overrides,)
    stated = _stated(conversion.meta)
    faults = [_faults({**stated, **settings}, backbone, where) for settings in choices]
    if all(faults):
        raise InputError(f'{name} was learned with {"; and with ".join(faults[0])}')
    if conversion.assumed:
        print_log(
            f'{name}: its names do not show the padding of its network, nor '
            'BN eps: it is used with those of the backbone that it is loaded '
            'into. By itself it would be ' + conversion.assumed,
            'current',
            level=logging.WARNING,
        )


def warn_assumed(conversion: Conversion, name: str) -> None:
    """Warn of what neither the keys of a file nor the file itself show.

    Args:
        conversion (Conversion): Of the file.
        name (str): What the file is.
    """
    if conversion.assumed:
        print_log(f'{name}: {conversion.assumed}', 'current', level=logging.WARNING)

"""Compare settings that no tensor shows: norm eps and padding."""

import logging
from collections.abc import Mapping
from inspect import signature

from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmengine.logging import print_log
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdisco.errors import InputError
from .config_text import read_parts
from .convert import Conversion

_NORMS: dict[str, type[_BatchNorm] | type[nn.LayerNorm]] = {
    'BN': _BatchNorm,
    'LN': nn.LayerNorm,
}
_PADDING = {True: 'padding as TensorFlow', False: 'padding alike on both sides'}


def _stated(meta: Mapping) -> Mapping:
    """Backbone config recorded in a file, with the defaults of its class."""
    backbone = meta.get('backbone')
    if isinstance(meta.get('cfg'), str):
        try:
            backbone = read_parts(meta['cfg']).backbone
        except InputError:  # more than plain values: unknown
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
    """Describe the settings in which a network differs."""
    faults = []
    recorded, own = settings.get('name'), getattr(backbone, 'name', None)
    if isinstance(recorded, str) and isinstance(own, str):
        # tags name weights of the same network
        if recorded.split('.')[0] != own.split('.')[0]:
            faults.append(
                f"the network '{recorded}', the backbone is '{own}': set {where}.name"
            )
    norm = settings.get('norm_cfg')
    norm = norm if isinstance(norm, Mapping) else {}
    kind = str(norm.get('type', ''))
    name = next((name for name in _NORMS if name in kind), '')
    if name:
        eps = norm.get('eps', 1e-5)
        epsilons = sorted(
            {m.eps for m in backbone.modules() if isinstance(m, _NORMS[name])}
        )
        # a network may have further norms, e.g. Swin between its stages
        if epsilons and eps not in epsilons:
            faults.append(
                f'{name} eps {eps:g}, the backbone has '
                f'{", ".join(f"{e:g}" for e in epsilons)}: set '
                f'{where}.norm_cfg.eps'
            )
    if 'conv_cfg' in settings:
        conv = settings['conv_cfg']
        as_tf = isinstance(conv, Mapping) and (
            conv.get('type') == 'Conv2dAdaptivePadding'
        )
        adaptive = [
            isinstance(m, Conv2dAdaptivePadding)
            for m in backbone.modules()
            if isinstance(m, nn.Conv2d)
        ]
        if adaptive and any(adaptive) != as_tf:
            faults.append(
                f'{_PADDING[as_tf]}, the backbone has '
                f'{_PADDING[not as_tf]}: set {where}.conv_cfg to '
                f'{dict(conv) if conv else None}'
            )
    return faults


def check_settings(
    conversion: Conversion, backbone: nn.Module, name: str, where: str
) -> None:
    """Check that weights were trained with the settings of a network.

    Norm eps and padding are compared, and the names of networks of a library: with
    other ones the same tensors compute another function. If the file may belong to
    several networks, one of them must fit, and the assumption is logged as a
    warning.

    Args:
        conversion (Conversion): The converted file.
        backbone (nn.Module): Network for its weights.
        name (str): Name of the file in messages.
        where (str): Key of the backbone's config, e.g. 'model.backbone'.

    Raises:
        InputError: If a setting differs; names both values.
    """
    choices = conversion.choices or (conversion.overrides,)
    stated = _stated(conversion.meta)
    faults = [_faults({**stated, **settings}, backbone, where) for settings in choices]
    if all(faults):
        raise InputError(f'{name} was trained with {"; and with ".join(faults[0])}')
    if conversion.assumed:
        print_log(
            f'{name}: its names do not show the padding or BN eps of its '
            'network: those of the backbone are used. On its own it would be '
            + conversion.assumed,
            'current',
            level=logging.WARNING,
        )


def warn_assumed(conversion: Conversion, name: str) -> None:
    """Log as a warning what was assumed about a file.

    Args:
        conversion (Conversion): The converted file.
        name (str): Name of the file in the warning.
    """
    if conversion.assumed:
        print_log(f'{name}: {conversion.assumed}', 'current', level=logging.WARNING)

"""The named networks of the configs, and which of them a checkpoint holds."""

from collections.abc import Mapping
from inspect import signature
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.errors import InputError
from mmdisco.paths import configs_root
from .config_text import read_parts

TEACHERS = (
    'r50',
    'r101',
    'r152',
    'r50w2',
    'swavr50',
    'selar50',
    'dcr50',
    'vits',
    'xcits',
)
STUDENTS = ('effb0', 'effb1', 'mbv3', 'r18', 'r34', 'vitt', 'xcitt')
ARCHS = TEACHERS + STUDENTS


class Arch(NamedTuple):
    """A network as a config builds it."""

    name: str
    backbone: dict
    neck: dict


def arch_config(name: str) -> Arch:
    """Backbone and neck of ``configs/_base_/{teachers,students}/{name}.py``.

    Raises:
        InputError: If the name is not known.
    """
    if name not in ARCHS:
        raise InputError(
            f"arch '{name}' is not known here, but one of {', '.join(ARCHS)}"
        )
    kind = 'teacher' if name in TEACHERS else 'student'
    path = configs_root() / '_base_' / f'{kind}s' / f'{name}.py'
    part = Config.fromfile(str(path)).to_dict()[kind]
    return Arch(name, part['backbone'], part['neck'])


# Settings of the training, or of the weights before it.
_TRAINING = (
    'init_cfg',
    'pretrained',
    'checkpoint_path',
    'drop_path_rate',
    'frozen_stages',
    'norm_eval',
    'requires_grad',
    'with_cp',
)


class Network(NamedTuple):
    """Configs of a backbone and the neck that it was trained with."""

    arch: str | None  # its name here, if it has one
    backbone: dict
    neck: dict | None
    algorithm: str | None = None  # class that it was trained by


def deployed(config: Any) -> Any:
    """A config without what matters for training alone.

    Args:
        config (dict): Of a module.

    Returns:
        dict: A plain one, with BN instead of SyncBN.
    """
    if isinstance(config, Mapping):
        return {
            key: deployed(value)
            for key, value in config.items()
            if key not in _TRAINING
        }
    if isinstance(config, (list, tuple)):
        return type(config)(map(deployed, config))
    return 'BN' if config == 'SyncBN' else config


def check_types(config: Any) -> None:
    """Refuse types by which a config of unknown origin could run anything.

    mmengine takes a dotted type for something to import and call.

    Raises:
        InputError: If a type is no registered name.
    """
    if isinstance(config, Mapping):
        kind = config.get('type', 'BN')
        known = (MODELS.module_dict, MODELS.parent.module_dict)
        if not (isinstance(kind, str) and any(kind in m for m in known)):
            raise InputError(
                f'its config needs the type {kind!r}, which is not registered here'
            )
        config = tuple(config.values())
    if isinstance(config, (list, tuple)):
        for value in config:
            check_types(value)


def _listed(config: Any) -> Any:
    """With lists for tuples, which JSON does not know."""
    if isinstance(config, dict):
        return {key: _listed(value) for key, value in config.items()}
    return [*map(_listed, config)] if isinstance(config, (list, tuple)) else (config)


def _full(config: Mapping) -> dict:
    """A backbone's config with its defaults, to compare it by."""
    defaults = {
        name: value.default
        for name, value in signature(MODELS.get(config['type'])).parameters.items()
        if value.default is not value.empty
    }
    full = _listed(deployed({**defaults, **config}))
    full.pop('zero_init_residual', None)  # of the initial weights, too
    return full


def name_of(backbone: Mapping) -> str | None:
    """Name of the arch that has this backbone; None if there is none.

    Archs that share a backbone (R-50's pre-trainings) go by the first.
    """
    full = _full(backbone)
    return next(
        (name for name in ARCHS if _full(arch_config(name).backbone) == full), None
    )


def find_network(meta: Mapping, arch: str | None = None) -> Network:
    """Tell the network of a checkpoint by its own words, or by the user's.

    Args:
        meta (dict): What the file says of itself: ``cfg``, the text of the
            config in training checkpoints, or ``backbone`` and ``arch`` in
            converted and published ones.
        arch (str, optional): What the user says. Defaults to None.

    Raises:
        InputError: If neither tells, or they contradict each other.
    """
    init_default_scope('mmpretrain')
    told = None if arch is None else Network(*arch_config(arch))
    if isinstance(meta.get('cfg'), str):
        algorithm, backbone, neck = read_parts(meta['cfg'])
        name = None
    elif isinstance(meta.get('backbone'), Mapping):
        backbone, neck = meta['backbone'], meta.get('neck')
        algorithm, name = meta.get('algorithm'), meta.get('arch')
    elif meta.get('arch') is not None:
        algorithm, (name, backbone, neck) = None, arch_config(meta['arch'])
    elif told is not None:
        return told
    else:
        raise InputError(
            'it does not tell which network it holds: add '
            f'--arch, one of {", ".join(ARCHS)}'
        )
    if 'type' not in backbone:
        raise InputError('its config does not tell the type of its backbone')
    backbone, neck = deployed(backbone), deployed(neck)
    check_types([backbone, neck])
    found = Network(name or name_of(backbone), backbone, neck, algorithm)
    if (
        told
        and found.arch != told.arch
        and (_full(found.backbone) != _full(told.backbone))
    ):
        held = (
            f"'{found.arch}'"
            if found.arch
            else ', '.join(f'{k}={v!r}' for k, v in found.backbone.items())
        )
        raise InputError(f"it holds {held}, but --arch says '{arch}'")
    return found

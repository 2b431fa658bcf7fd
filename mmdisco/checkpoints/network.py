"""The named networks of the configs, and the network of a checkpoint."""

from collections.abc import Mapping
from inspect import signature
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.errors import InputError
from mmdisco.paths import configs_root
from .config_text import read_parts, unpooled

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
    """Configs of a named network."""

    name: str
    backbone: dict
    neck: dict


def arch_config(name: str) -> Arch:
    """Backbone and neck of ``configs/_base_/{teachers,students}/{name}.py``.

    Raises:
        InputError: If the name is unknown.
    """
    if name not in ARCHS:
        raise InputError(f"arch '{name}' is not known: use one of {', '.join(ARCHS)}")
    kind = 'teacher' if name in TEACHERS else 'student'
    path = configs_root() / '_base_' / f'{kind}s' / f'{name}.py'
    part = Config.fromfile(str(path)).to_dict()[kind]
    return Arch(name, part['backbone'], part['neck'])


# Libraries with names of networks, in the order of a search without a prefix
LIBRARIES = ('timm', 'torchvision', 'mmpretrain')


def library_config(name: str) -> dict:
    """Backbone of 'timm:NAME', 'torchvision:NAME' or 'package.module:Class'.

    Args:
        name (str): The name, with its prefix.

    Returns:
        dict: Config of a module that returns a tuple with one tensor, the pooled
        feature [N, P].
    """
    library, _, rest = name.partition(':')
    if library == 'timm':
        return dict(type='TimmNetwork', name=rest, pooled_only=True)
    if library == 'torchvision':
        return dict(type='TorchvisionNetwork', name=rest)
    return dict(type='ImportedNetwork', path=name)


# Settings of the training or of the initial weights.
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
    """Configs of a backbone and of its neck in the training."""

    arch: str | None  # name of the arch, if it is a named one
    backbone: dict
    neck: dict | None
    algorithm: str | None = None  # class of the training algorithm


def deployed(config: Any) -> Any:
    """Remove the settings that only matter for training from a config.

    Args:
        config (dict): Config of a module.

    Returns:
        dict: A plain config, with BN instead of SyncBN.
    """
    config = unpooled(config)
    if isinstance(config, Mapping):
        return {
            key: deployed(value)
            for key, value in config.items()
            if key not in _TRAINING
        }
    if isinstance(config, (list, tuple)):
        return type(config)(map(deployed, config))
    return 'BN' if config == 'SyncBN' else config


def check_types(config: Any, imported: str | None = None) -> None:
    """Accept only registered types in a config of unknown origin.

    mmengine imports and calls any other dotted name.

    Args:
        config (dict or list): The config.
        imported (str, optional): 'package.module:Class' that the user trusts.
            Defaults to None.

    Raises:
        InputError: If a type is not a registered name, or the network is a class
            that would be imported and that the user has not named, or an address.
    """
    if isinstance(config, Mapping):
        kind = config.get('type', 'BN')
        if kind == 'ImportedNetwork' and config.get('path') != imported:
            path = config.get('path')
            raise InputError(
                f"its network is the class '{path}', which would be imported and run: "
                f'if you trust this file, add --arch {path}'
            )
        name = config.get('model_name')
        if kind == 'TIMMBackbone' and ':' in str(name):
            raise InputError(
                f"its network is at the address '{name}': nothing is downloaded for a "
                'file, so convert it from a network that timm has'
            )
        known = (MODELS.module_dict, MODELS.parent.module_dict)
        if not (isinstance(kind, str) and any(kind in m for m in known)):
            raise InputError(
                f'its config needs the type {kind!r}, which is not registered here'
            )
        config = tuple(config.values())
    if isinstance(config, (list, tuple)):
        for value in config:
            check_types(value, imported)


def _listed(config: Any) -> Any:
    """Replace tuples by lists, as JSON does."""
    if isinstance(config, dict):
        return {key: _listed(value) for key, value in config.items()}
    return [*map(_listed, config)] if isinstance(config, (list, tuple)) else config


def _full(config: Mapping) -> dict:
    """A backbone's config with all defaults, for comparison."""
    defaults = {
        name: value.default
        for name, value in signature(MODELS.get(config['type'])).parameters.items()
        if value.default is not value.empty
    }
    full = _listed(deployed({**defaults, **config}))
    full.pop('zero_init_residual', None)  # affects only the initial weights
    return full


def name_of(backbone: Mapping) -> str | None:
    """Name of the arch with this backbone; None if there is none.

    The first one, if archs share a backbone (the pre-trainings of R-50).
    """
    full = _full(backbone)
    return next(
        (name for name in ARCHS if _full(arch_config(name).backbone) == full), None
    )


def _requested(arch: str) -> Network:
    """Network of the user's ``--arch``: an arch, or a name with a prefix."""
    if ':' not in arch:
        return Network(*arch_config(arch))
    if arch.startswith('mmpretrain:'):
        raise InputError(
            f"--arch '{arch}': a file with a network of mmpretrain records its "
            'config, leave out --arch'
        )
    return Network(None, library_config(arch), None)


def _alike(network: Network, requested: Network) -> bool:
    """Whether a recorded network is the one that the user named."""
    if requested.arch is None:  # of a library; other options are the file's
        return all(
            network.backbone.get(key) == requested.backbone.get(key)
            for key in ('type', 'name', 'path')
        )
    return network.arch == requested.arch or (
        _full(network.backbone) == _full(requested.backbone)
    )


def find_network(
    meta: Mapping, arch: str | None = None, imports: bool = False
) -> Network:
    """Find the network of a checkpoint from its metadata or the user's arch.

    Args:
        meta (dict): Metadata of the file: ``cfg``, the text of the config in
            training checkpoints, or ``backbone`` and ``arch`` in converted and
            published ones.
        arch (str, optional): Name given by the user. Defaults to None.
        imports (bool): Whether a class that the user has not named is accepted,
            for callers that do not build the network. Defaults to False.

    Raises:
        InputError: If neither specifies a network, or they contradict each
            other.
    """
    init_default_scope('mmpretrain')
    requested = None if arch is None else _requested(arch)
    if isinstance(meta.get('cfg'), str):
        algorithm, backbone, neck = read_parts(meta['cfg'])
        name = None
    elif isinstance(meta.get('backbone'), Mapping):
        backbone, neck = meta['backbone'], meta.get('neck')
        algorithm, name = meta.get('algorithm'), meta.get('arch')
    elif meta.get('arch') is not None:
        algorithm, (name, backbone, neck) = None, arch_config(meta['arch'])
    elif requested is not None:
        return requested
    else:
        raise InputError(
            f'it does not record its network: add --arch, one of {", ".join(ARCHS)}'
        )
    if not isinstance(backbone, Mapping) or 'type' not in backbone:
        raise InputError('its config does not specify the type of its backbone')
    backbone, neck = deployed(backbone), deployed(neck)
    check_types([backbone, neck], backbone.get('path') if imports else arch)
    network = Network(name or name_of(backbone), backbone, neck, algorithm)
    if requested and not _alike(network, requested):
        recorded = (
            f"'{network.arch}'"
            if network.arch
            else ', '.join(f'{k}={v!r}' for k, v in network.backbone.items())
        )
        raise InputError(f"it holds {recorded}, but --arch says '{arch}'")
    return network

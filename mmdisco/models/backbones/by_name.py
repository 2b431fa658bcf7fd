"""The network of a name: an arch, of a library, or of the user's own."""

import logging
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.checkpoints import ARCHS, arch_config
from mmdisco.checkpoints.network import LIBRARIES, library_config
from mmdisco.errors import InputError
from mmdisco.utils import quiet_init
from .nearest import nearest
from .timm_network import _timm
from .torchvision_network import MEAN, STD
from .torchvision_network import names as torchvision_names

_SIZES = (224, 32, 64, 96, 128, 256, 384)  # pixels, tried in this order


class NamedNetwork(NamedTuple):
    """A network whose output is the feature that users of its library get.

    Attributes:
        name (str): Its full name, e.g. 'timm:mobilenetv4_conv_small'.
        backbone (dict): Config of the module, which returns a tuple with one
            tensor, [N, P].
        width (int): P.
        mean (list[float], optional): Channel means of its library's weights, 0 to
            255; None if they are not known.
        std (list[float], optional): Channel deviations of the same.
        size (tuple[int, int], optional): Height and width of its images, in
            pixels; None if it takes several sizes.
        unused (tuple[str, ...]): Parameters that the feature does not depend on:
            they stay as initialised. Defaults to ().
    """

    name: str
    backbone: dict
    width: int
    mean: list[float] | None
    std: list[float] | None
    size: tuple[int, int] | None
    unused: tuple[str, ...] = ()


def _mmpretrain_names() -> dict[str, str]:
    """Names of mmpretrain's models by their lower-case form."""
    # slow: it reads the index of all models
    from mmpretrain.apis import list_models

    return {name.lower(): name for name in list_models()}


def _known(library: str) -> list[str]:
    if library == 'timm':
        return _timm().list_models()
    if library == 'torchvision':
        return torchvision_names()
    return list(_mmpretrain_names())


def network_names() -> dict[str, list[str]]:
    """Names of the networks of each library, without its prefix."""
    return {library: sorted(_known(library)) for library in LIBRARIES}


def _resolve(name: str) -> str:
    """Full name of a network: an arch, or with the prefix of its library.

    Raises:
        InputError: If it is unknown; names the nearest.
    """
    if name in ARCHS or ':' in name:
        return name
    known = list(ARCHS)
    for library in LIBRARIES:
        names = _known(library)
        if (name.split('.')[0] if library == 'timm' else name) in names:
            return f'{library}:{name}'
        known += [f'{library}:{each}' for each in names]
    raise InputError(
        f"no network is named '{name}'{nearest(name, known)}: use a name of timm, "
        'torchvision or mmpretrain, one of '
        f'{", ".join(ARCHS)}, or package.module:Class'
    )


def _of_mmpretrain(name: str) -> tuple[dict, Config]:
    """Backbone and config of a model of mmpretrain's index.

    Raises:
        InputError: If there is none, or it has no backbone.
    """
    names = _mmpretrain_names()
    if name.lower() not in names:
        raise InputError(
            f"mmpretrain has no model '{name}'{nearest(name, names)}: use one of "
            'mmpretrain.list_models()'
        )
    from mmpretrain.apis.model import ModelHub

    config = ModelHub.get(name).config
    backbone = config.model.get('backbone')
    if backbone is None:
        raise InputError(f"mmpretrain's '{name}' has no backbone of images")
    backbone = backbone.to_dict()
    if 'Pretrained' in str(backbone.get('init_cfg')):
        backbone.pop('init_cfg')  # a download
    return backbone, config


def _rgb_statistics(config: Config) -> tuple[list | None, list | None]:
    """Mean and std of a config of mmpretrain, if its images are RGB."""
    processor = config.get('data_preprocessor') or config.model.get('data_preprocessor')
    if not processor or not processor.get('to_rgb'):
        return None, None
    mean, std = processor.get('mean'), processor.get('std')
    return (None, None) if not mean or not std else (list(mean), list(std))


def named_network(name: str) -> NamedNetwork:
    """Find a network by its name, build it once and run it on a few random images.

    A name without a prefix is looked up in this order: this project's archs, timm,
    torchvision, mmpretrain. If parameters get no gradient from the feature, a
    warning says so: they would stay as initialised.

    Args:
        name (str): 'timm:NAME', 'torchvision:NAME', 'mmpretrain:NAME',
            'package.module:Class' (:class:`ImportedNetwork`), an arch, or a NAME
            without a prefix.

    Raises:
        InputError: If there is no such network, or it returns no feature.

    Example:
        >>> named_network('resnet18').backbone
        {'type': 'TimmNetwork', 'name': 'resnet18', 'pooled_only': True}
        >>> named_network('torchvision:resnet18').width
        512
    """
    name = _resolve(name)
    mean: list | None = None
    std: list | None = None
    if name in ARCHS:
        config = dict(type='PooledBackbone', backbone=arch_config(name).backbone)
        mean, std = MEAN, STD
    elif name.startswith('mmpretrain:'):
        backbone, model = _of_mmpretrain(name.partition(':')[2])
        config = dict(type='PooledBackbone', backbone=backbone)
        mean, std = _rgb_statistics(model)
    else:
        config = library_config(name)
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.random.fork_rng():
        with quiet_init():
            network = MODELS.build(dict(config))
        width, size, unused = _probe(network, name)
    if name.startswith('torchvision:'):
        mean, std = MEAN, STD
    elif name.startswith('timm:'):
        mean, std = (
            [round(value, 4) for value in values]
            for values in (network.mean, network.std)
        )
    return NamedNetwork(name, config, width, mean, std, size, unused)


def _probe(
    network: nn.Module, name: str
) -> tuple[int, tuple[int, int] | None, tuple[str, ...]]:
    """Width of the feature, size of images if it is fixed, unused parameters."""
    network.eval()
    stated = getattr(network, 'network', network)
    stated = getattr(stated, 'pretrained_cfg', {}).get('input_size')  # timm's
    sizes = [stated[-1]] if stated else _SIZES
    feature, size, reason = None, 0, ''
    for size in sizes:
        try:
            feature = _feature(network, size)
            break
        except InputError as error:
            reason = str(error)
        except Exception as error:  # whatever the network's code raises
            last = str(error).strip().split('\n')[-1]
            reason = reason or f'{type(error).__name__}: {last}'
    if feature is None:
        raise InputError(
            f"'{name}' can't embed images of {', '.join(map(str, sizes))} pixels: "
            f'{reason}'
        )
    if feature.dim() != 2:
        raise InputError(
            f"'{name}' returns {list(feature.shape)} for two images, should be a "
            'feature [N, P]'
        )
    if not feature.shape[1]:
        raise InputError(
            f"'{name}' without a classifier returns a feature of width 0 in its own "
            'library: use another network'
        )
    unused = _unused(network, feature, name)
    # three quarters, as a multiple of usual patches and strides
    others = {size * 3 // 4 // step * step for step in (1, 14, 16, 32)}
    several = any(_takes(network, other) for other in others)
    return feature.shape[1], None if several else (size, size), unused


def _feature(network: nn.Module, size: int) -> Tensor:
    weight: Any = next(network.parameters(), torch.zeros(1))
    return network(torch.randn(2, 3, size, size, device=weight.device))[-1]


def _takes(network: nn.Module, size: int) -> bool:
    try:
        with torch.no_grad():
            _feature(network, max(size, 8))
    except Exception:
        return False
    return True


def _unused(network: nn.Module, feature: Tensor, name: str) -> tuple[str, ...]:
    """Find parameters that do not contribute to the feature; warn about them."""
    named = {key: p for key, p in network.named_parameters() if p.requires_grad}
    if not feature.requires_grad:
        raise InputError(f"'{name}' has no parameter that its feature depends on")
    grads = torch.autograd.grad(
        (feature * torch.randn_like(feature)).sum(),
        list(named.values()),
        allow_unused=True,
    )
    unused = tuple(key for key, grad in zip(named, grads) if grad is None)
    if unused:
        print_log(
            f"'{name}': its feature does not depend on {len(unused)} of "
            f'{len(named)} parameters, e.g. {unused[0]}: they stay as initialised',
            'current',
            level=logging.WARNING,
        )
    return unused

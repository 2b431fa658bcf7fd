"""A network of the user's own code as a backbone."""

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from .pooled_backbone import pooled_feature


def _imported(path: str) -> Any:
    """Import a class from the installed packages or the current folder."""
    module, _, name = path.partition(':')
    if not (module and name):
        raise InputError(
            f"'{path}' is not a class: write it as package.module:Class, e.g. "
            'networks:TinyNet for the class TinyNet of networks.py'
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last: its files hide no installed package
    try:
        value: Any = import_module(module)
        for part in name.split('.'):
            value = getattr(value, part)
    except Exception as error:  # whatever the user's code raises
        reason = str(error).strip().split('\n')[-1]
        raise InputError(
            f"'{path}' can't be imported from '{here}' or the installed packages: "
            f'{type(error).__name__}: {reason}'
        ) from error
    return value


@MODELS.register_module()
class ImportedNetwork(BaseModule):
    """A network of the user's own, which is imported by its name.

    A config may name any class, since a config is code. A file of weights that
    names one is loaded only if the user names the same class.

    Args:
        path (str): 'package.module:Class', a subclass of ``nn.Module`` or a function
            that returns one, from the installed packages or the current folder. It
            takes images [N, 3, H, W], and returns a feature [N, P], a map
            [N, C, h, w], or a tuple that ends in one.
        options (dict, optional): Its arguments. Defaults to None, none.
        init_cfg (dict, optional): Not used: the network initialises itself.
            Defaults to None.

    Raises:
        InputError: If it can't be imported or built, or is not a network.
    """

    def __init__(
        self,
        path: str,
        options: Mapping[str, Any] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.path = path
        build = _imported(path)
        try:
            network = build(**dict(options or {}))
        except Exception as error:
            reason = str(error).strip().split('\n')[-1]
            raise InputError(
                f"'{path}' can't be built with the options {dict(options or {})}: "
                f'{type(error).__name__}: {reason}'
            ) from error
        if not isinstance(network, nn.Module):
            raise InputError(
                f"'{path}' gives a {type(network).__name__}, should be a subclass of "
                'nn.Module, or a function that returns one'
            )
        self.network = network

    def init_weights(self) -> None:
        """Keep the network's own initial weights."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Compute the feature, [N, P], of normalised images, [N, 3, H, W]."""
        return (pooled_feature(self.network(images), f"'{self.path}'"),)

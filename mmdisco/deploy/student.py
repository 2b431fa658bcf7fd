from collections.abc import Mapping
from typing import NamedTuple

from mmengine.model import revert_sync_batchnorm
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.converters import load_strictly, read_conversion, warn_assumed
from mmdisco.errors import InputError
from mmdisco.utils import quiet_init
from .network import Network, find_network


class Student(NamedTuple):
    """A trained network, ready to be used."""

    network: Network  # configs, and the name here
    backbone: nn.Module  # in eval mode, no gradients
    neck_weights: dict[str, Tensor]  # empty if the file has no neck
    meta: Mapping  # what the file says of itself


def built(config: dict, weights: Mapping, name: str) -> nn.Module:
    """Build a network for inference, its weights loaded strictly.

    Args:
        config (dict): Of the network.
        weights (dict): All of its tensors, by its own keys.
        name (str): What the weights are, for the message.

    Returns:
        nn.Module: In eval mode, without gradients.

    Raises:
        InputError: If the weights do not fit.
    """
    try:
        with quiet_init():
            module = revert_sync_batchnorm(MODELS.build(dict(config)))
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        last = str(error).strip().split('\n')[-1]
        raise InputError(f'{name}: its config does not fit: {last}') from error
    load_strictly(module, weights, name)
    module.requires_grad_(False)
    module.eval()  # returns None in some backbones
    return module


def load_student(path: str, arch: str | None = None) -> Student:
    """Load the student of a checkpoint, whatever made it.

    Args:
        path (str): Checkpoint of a pre-training, an extracted, converted or
            published file.
        arch (str, optional): Its name, needed if the file does not tell.
            Defaults to None.

    Returns:
        Student: The backbone with the weights of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, does not tell its network, is
            of another one than ``arch``, or does not fit it.
    """
    conversion = read_conversion(path)
    warn_assumed(conversion, f"'{path}'")
    try:
        network = find_network(conversion.meta, arch)
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
    network = network._replace(
        backbone={**network.backbone, **conversion.overrides},
        neck=conversion.neck or network.neck,
    )
    backbone = built(network.backbone, conversion.part('backbone'), f"'{path}'")
    return Student(network, backbone, conversion.part('neck'), conversion.meta)

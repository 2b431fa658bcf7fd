"""Tensor names without the wrappers of torch and of trainers."""

import re
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from mmdisco.errors import InputError

T = TypeVar('T')

# Attribute of the wrapped network in each wrapper
WRAPPERS = {
    'module': 'DataParallel, DistributedDataParallel, AveragedModel, '
    "mmengine's averages",
    '_orig_mod': 'torch.compile',
    '_fsdp_wrapped_module': 'FullyShardedDataParallel',
    '_fpw_module': 'FairScale, and FSDP before torch 1.13',
    '_checkpoint_wrapped_module': 'activation checkpointing',
    '_forward_module': 'Lightning Fabric',
}
# Only as a prefix: attribute of a trainer, not of a wrapper.
_TRAINER = 'model'
COUNTER = 'n_averaged'  # of torch.optim.swa_utils.AveragedModel


def bare_name(key: str) -> str:
    """Remove wrappers from a key, in any order and at any depth.

    ``module._orig_mod.encoder_q.conv1.weight`` becomes
    ``encoder_q.conv1.weight``, ``model.backbone._orig_mod.conv1.weight``
    becomes ``backbone.conv1.weight``.

    Args:
        key (str): Key of a state dict.
    """
    *path, leaf = key.split('.')
    path = [part for part in path if part not in WRAPPERS]
    if path and path[0] == _TRAINER:
        path = path[1:]
    return '.'.join([*path, leaf])


def bare_names(state_dict: Mapping[str, T]) -> tuple[dict[str, T], dict]:
    """Remove wrappers from all keys of a state dict.

    Args:
        state_dict (dict): Tensors by the keys of a file.

    Returns:
        tuple[dict, dict]: Tensors by bare name; keys of the file by bare name.

    Raises:
        InputError: If two keys have the same bare name.
    """
    keys: dict[str, str] = {}
    for key in state_dict:
        name = bare_name(key)
        if name in keys:
            raise InputError(
                f"'{keys[name]}' and '{key}' are both '{name}' without their "
                'wrappers: keep the tensors of one network'
            )
        keys[name] = key
    return {name: state_dict[key] for name, key in keys.items()}, keys


# names in mmpretrain's, mmselfsup's and this project's algorithms; 0 is the
# backbone, 1 the neck
_KEY = re.compile(
    r'(ssl\.)?(?:encoder_k|target_net|momentum_encoder)\.'
    r'([01])\.(.+)'
)
_PARTS = ('backbone', 'neck')


def momentum_encoder(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Extract the momentum encoder from an algorithm's weights.

    Args:
        state_dict (dict): Weights of mmpretrain's, mmselfsup's or this
            project's algorithm.

    Returns:
        dict: Tensors by key, ``backbone.*`` and ``neck.*``.

    Raises:
        InputError: If it has no momentum encoder.
    """
    tensors = {}
    for key, value in bare_names(state_dict)[0].items():
        match = _KEY.fullmatch(key)
        if match:
            tensors[f'{_PARTS[int(match[2])]}.{match[3]}'] = value
    if not tensors:
        raise InputError(
            'it has no momentum encoder as saved by this project, '
            'mmpretrain or mmselfsup'
        )
    return tensors


def encoder_source(key: str) -> str | None:
    """Name of the student's tensor for a momentum encoder's tensor.

    Args:
        key (str): Key of an algorithm's tensor.

    Returns:
        str or None: None if the key is not the momentum encoder's.
    """
    match = _KEY.fullmatch(bare_name(key))
    return match and f'{match[1] or ""}{_PARTS[int(match[2])]}.{match[3]}'

"""Names of tensors without what torch and trainers wrap a network in."""

import re
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from mmdisco.errors import InputError

T = TypeVar('T')

# Attributes by which a wrapper holds the network, and who has them
WRAPPERS = {
    'module': 'DataParallel, DistributedDataParallel, AveragedModel, '
    "mmengine's averages",
    '_orig_mod': 'torch.compile',
    '_fsdp_wrapped_module': 'FullyShardedDataParallel',
    '_fpw_module': 'FairScale, and FSDP before torch 1.13',
    '_checkpoint_wrapped_module': 'activation checkpointing',
    '_forward_module': 'Lightning Fabric',
}
# At the beginning alone: an attribute of a trainer, not of a wrapper.
_TRAINER = 'model'
COUNTER = 'n_averaged'  # of torch.optim.swa_utils.AveragedModel


def bare_name(key: str) -> str:
    """A key without the wrappers that it passes, in any order and depth.

    ``module._orig_mod.encoder_q.conv1.weight`` gives
    ``encoder_q.conv1.weight``, ``model.backbone._orig_mod.conv1.weight``
    ``backbone.conv1.weight``.

    Args:
        key (str): Of a state dict.
    """
    *path, leaf = key.split('.')
    path = [part for part in path if part not in WRAPPERS]
    if path and path[0] == _TRAINER:
        path = path[1:]
    return '.'.join([*path, leaf])


def bare_names(state_dict: Mapping[str, T]) -> tuple[dict[str, T], dict]:
    """A state dict by its bare names.

    Args:
        state_dict (dict): Tensors by the keys of a file.

    Returns:
        tuple[dict, dict]: Tensors by bare names; keys of the file by them.

    Raises:
        InputError: If two of its keys have one bare name.
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


# names of mmpretrain's, mmselfsup's and this project's algorithms; 0 is the
# backbone, 1 the neck
_KEY = re.compile(
    r'(ssl\.)?(?:encoder_k|target_net|momentum_encoder)\.'
    r'([01])\.(.+)'
)
_PARTS = ('backbone', 'neck')


def momentum_encoder(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take the momentum encoder out of an algorithm's weights.

    Args:
        state_dict (dict): Of mmpretrain's or this project's algorithm.

    Returns:
        dict: Tensors by key, ``backbone.*`` and ``neck.*``.

    Raises:
        ValueError: If there is none.
    """
    found = {}
    for key, value in bare_names(state_dict)[0].items():
        match = _KEY.fullmatch(key)
        if match:
            found[f'{_PARTS[int(match[2])]}.{match[3]}'] = value
    if not found:
        raise InputError(
            'there is no momentum encoder in it, of those that '
            'this project, mmpretrain and mmselfsup save'
        )
    return found


def encoder_source(key: str) -> str | None:
    """Name of the student's tensor that a momentum encoder's is an average of.

    Args:
        key (str): A name among an algorithm's tensors.

    Returns:
        str or None: None if it is not a momentum encoder's.
    """
    match = _KEY.fullmatch(bare_name(key))
    return match and f'{match[1] or ""}{_PARTS[int(match[2])]}.{match[3]}'

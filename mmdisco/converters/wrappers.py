"""Names of tensors without what torch and trainers wrap a network in."""

from collections.abc import Mapping
from typing import TypeVar

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

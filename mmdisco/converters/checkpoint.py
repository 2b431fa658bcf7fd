import hashlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Dict

import numpy as np
import torch
from torch import nn

from mmdisco.errors import InputError, MissingFileError
from .layouts import LAYOUTS, to_ours


def sha256_of(path: str) -> str:
    """Hexadecimal sha256 of a file."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


class _Unread:
    """Stands for what is not needed: takes any state and keeps none."""

    def __setstate__(self, state) -> None:
        pass


def _no_attribute(owner, name: str) -> None:
    """Stands for getattr, by which a pickle could reach anything."""


def _allowed() -> list:
    """What mmengine's checkpoints hold beside tensors: histories of logged
    values, which are not read, and numpy arrays under the module names of
    numpy 1 and 2."""
    reconstruct = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    named = [(function, f'numpy.{core}.multiarray.{function.__name__}')
             for function in (reconstruct, scalar)
             for core in ('core', '_core')]
    kinds = {type(np.dtype(k)) for k in ('f8', 'f4', 'i8', 'i4', 'b1', 'u1')}
    unread = [(_Unread, 'mmengine.logging.history_buffer.HistoryBuffer'),
              (_no_attribute, 'builtins.getattr')]
    return [bytes, np.ndarray, np.dtype, *unread, *named, *kinds]


def safe_load(path: str) -> Dict:
    """Load a checkpoint without running code that it may hold.

    Tensors, plain values and numpy arrays are read, mmengine's histories of
    logged values are left out, anything else is refused.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, or needs more than weights.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"checkpoint '{path}' not found")
    try:
        with torch.serialization.safe_globals(_allowed()):
            return torch.load(path, map_location='cpu', weights_only=True)
    except UnpicklingError as error:
        lines = [line for line in str(error).split('\n') if 'GLOBAL' in line]
        reason = lines[0].strip() if lines else 'its content is damaged'
        raise InputError(f"'{path}' is no checkpoint of weights that can be "
                         f'loaded safely: {reason}') from error
    except Exception as error:  # a junk file raises whatever it hits first
        raise InputError(f"'{path}' is no PyTorch checkpoint (half a file, "
                         'or something else under that name)') from error


def read_checkpoint(path: str) -> Dict:
    """Read the student of a checkpoint as ``backbone.*`` and ``neck.*``.

    Args:
        path (str): This project's or mmpretrain's checkpoint, an extracted
            backbone, or a file of the public MoCo.

    Returns:
        dict: Tensors by key.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, or of another layout.
    """
    loaded = safe_load(path)
    if isinstance(loaded, dict) and isinstance(loaded.get('state_dict'), dict):
        loaded = loaded['state_dict']
    state_dict = {
        key: value
        for key, value in (loaded if isinstance(loaded, dict) else {}).items()
        if isinstance(key, str) and isinstance(value, torch.Tensor)
    }
    renamed = to_ours(state_dict)
    if not any(key.startswith('backbone.') for key in renamed):
        known = ', '.join(f"{y.name} ('{y.mark}*')" for y in LAYOUTS)
        first = next(iter(state_dict), 'none')
        raise InputError(f"'{path}' has no backbone that is known here: its "
                         f"first key is '{first}', known layouts: {known}")
    return renamed


def load_strictly(module: nn.Module, state_dict: Dict, name: str) -> None:
    """Load weights or explain what does not fit.

    Args:
        module (nn.Module): The network.
        state_dict (dict): Its weights, all of them and no others.
        name (str): What the weights are, for the message.

    Raises:
        ValueError: If a key is missing or left over, or of another shape.
    """
    own = module.state_dict()
    missing = [k for k in own if k not in state_dict]
    unexpected = [k for k in state_dict if k not in own]
    misfit = [
        f'{k} ({list(state_dict[k].shape)} in the file, '
        f'{list(own[k].shape)} in the model)' for k in own
        if k in state_dict and state_dict[k].shape != own[k].shape
    ]
    faults = [
        f'{len(keys)} {what}, e.g. {keys[0]}'
        for what, keys in (('missing', missing), ('unexpected', unexpected),
                           ('of another shape', misfit)) if keys
    ]
    if faults:
        raise InputError(f'{name} does not fit this architecture: '
                         f"{'; '.join(faults)}")
    module.load_state_dict(state_dict)

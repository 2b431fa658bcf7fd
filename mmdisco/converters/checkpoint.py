from typing import Dict

from torch import nn

from mmdisco.errors import InputError
from .convert import Conversion, convert
from .safe_load import safe_load


def read_conversion(path: str) -> Conversion:
    """Read a checkpoint of any known family under this project's names.

    Args:
        path (str): This project's or mmpretrain's checkpoint, an extracted
            backbone, or a published file; see :mod:`.families`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, of no known family, or holds
            weights of the student that nothing explains.
    """
    loaded = safe_load(path)
    try:
        conversion = convert(loaded if isinstance(loaded, dict) else {})
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
    if conversion.unexpected:
        raise InputError(
            f"'{path}' ({conversion.family}) has {len(conversion.unexpected)} "
            f'keys that are not known, e.g. {conversion.unexpected[0]}')
    meta = loaded.get('meta')
    if isinstance(meta, dict) and meta.get('overrides'):
        conversion = conversion._replace(overrides=meta['overrides'])
    return conversion


def read_checkpoint(path: str) -> Dict:
    """Read the student of a checkpoint as ``backbone.*`` and ``neck.*``.

    Args and errors are those of :func:`read_conversion`.

    Returns:
        dict: Tensors by key.
    """
    return read_conversion(path).state_dict


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

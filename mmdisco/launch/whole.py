from mmengine.model import is_model_wrapper
from torch import nn

from mmdisco.converters import load_strictly, safe_load
from mmdisco.errors import InputError


def check_whole(model: nn.Module, path: str) -> None:
    """Refuse to test with a checkpoint of other weights than the model's.

    mmengine would test what the file does not hold with random weights, after
    a warning.

    Args:
        model (nn.Module): The whole model, or its wrapper.
        path (str): The checkpoint.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If it is no checkpoint, or not of all this model.
    """
    loaded = safe_load(path)
    if not isinstance(loaded, dict) or 'state_dict' not in loaded:
        raise InputError(f"checkpoint '{path}' has no state_dict: take one "
                         'that tools/train.py has written with this config')
    try:
        load_strictly(model.module if is_model_wrapper(model) else model,
                      loaded['state_dict'], f"checkpoint '{path}'")
    except InputError as error:
        raise InputError(f'{error}: take one of the whole model, as '
                         'tools/train.py writes with this config') from error

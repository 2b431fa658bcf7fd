from mmengine.runner import Runner
from torch import Tensor, nn

from mmdisco.errors import InputError
from mmdisco.utils import unwrapped
from .checkpoint import load_strictly
from .safe_load import safe_load
from .wrappers import bare_names


def check_complete(runner: Runner, path: str) -> None:
    """Load a checkpoint for a test; refuse one of other weights.

    mmengine would test what the file does not hold with random weights, after
    a warning. Names of the file may have wrappers
    (:mod:`mmdisco.checkpoints.wrappers`), which mmengine would not load.

    Args:
        runner (Runner): Of the whole model, before its ``test``.
        path (str): The checkpoint.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If it is no checkpoint, or not of all this model.
    """
    loaded = safe_load(path)
    if not isinstance(loaded, dict) or 'state_dict' not in loaded:
        raise InputError(
            f"checkpoint '{path}' has no state_dict: take one "
            'that tools/train.py has written with this config'
        )
    model, saved = unwrapped(runner.model), loaded['state_dict']
    try:
        state_dict = _by_names_of(model, saved)
        load_strictly(model, state_dict, f"checkpoint '{path}'")
    except InputError as error:
        raise InputError(
            f'{error}: take one of the whole model, as '
            'tools/train.py writes with this config'
        ) from error
    if state_dict.keys() != saved.keys():
        runner._has_loaded = True
        runner.logger.info(f"Loaded '{path}', by names without wrappers")


def _by_names_of(model: nn.Module, saved: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file by the model's names; either may have wrappers."""
    own = model.state_dict()
    if saved.keys() == own.keys():
        return saved
    tensors, names = bare_names(saved)[0], bare_names(own)[1]
    if tensors.keys() != names.keys():
        return saved  # so that errors name its keys
    return {names[name]: value for name, value in tensors.items()}

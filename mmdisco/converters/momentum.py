import re

from torch import Tensor

from mmdisco.errors import InputError
from .wrappers import bare_name, bare_names

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

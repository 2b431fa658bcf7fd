from pathlib import Path

from torch import nn

from mmdisco.errors import InputError, MissingFileError
from .checkpoint import read_conversion
from .settings import check_settings


def read_teacher(
    path: str, backbone: nn.Module, url: str | None = None, head: bool = True
) -> dict:
    """Read a teacher from any known layout.

    Args:
        path (str): The file.
        backbone (nn.Module): What the weights are for.
        url (str, optional): Where it is published, to be told if there is no
            such file. Defaults to None.
        head (bool): Whether its projection head is wanted, or its backbone
            alone. Defaults to True.

    Returns:
        dict: Tensors by key, ``backbone.*`` and ``neck.*``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, has no projection head, is not
            finite, or was learned with other settings than the backbone has.
    """
    if not Path(path).is_file():
        where = f' (it is published at {url})' if url else ''
        raise MissingFileError(
            f"teacher file '{path}' not found: put it there{where}, or set "
            'model.teacher.checkpoint'
        )
    conversion = read_conversion(path)
    state_dict = conversion.state_dict
    if not head:
        state_dict = {k: v for k, v in state_dict.items() if not k.startswith('neck.')}
    elif not any(key.startswith('neck.') for key in state_dict):
        raise InputError(
            f"teacher file '{path}' ({conversion.family}) has no projection "
            'head: it holds a backbone alone, and DisCo distils the final '
            'embedding. Use the file of the pre-training itself'
        )
    check_settings(
        conversion, backbone, f"teacher file '{path}'", 'model.teacher.backbone'
    )
    return state_dict

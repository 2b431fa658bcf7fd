from pathlib import Path
from typing import Dict, Mapping, Optional

from mmdisco.errors import InputError, MissingFileError
from .checkpoint import read_conversion


def read_teacher(path: str, url: Optional[str] = None,
                 backbone: Optional[Mapping] = None) -> Dict:
    """Read a teacher, which has a projection head, from any known layout.

    Args:
        path (str): The file.
        url (str, optional): Where it is published, to be told if there is no
            such file. Defaults to None.
        backbone (dict, optional): Config of the backbone that the weights are
            for. Defaults to None, which checks nothing of it.

    Returns:
        dict: Tensors by key, ``backbone.*`` and ``neck.*``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, has no projection head, or was
            learned with other settings than the config's.
    """
    if not Path(path).is_file():
        where = f' (it is published at {url})' if url else ''
        raise MissingFileError(
            f"teacher file '{path}' not found: put it there{where}, or set "
            'model.teacher.checkpoint')
    conversion = read_conversion(path)
    if not any(key.startswith('neck.') for key in conversion.state_dict):
        raise InputError(
            f"teacher file '{path}' ({conversion.family}) has no projection "
            'head: it holds a backbone alone, and DisCo distils the final '
            'embedding. Use the file of the pre-training itself')
    for key, value in conversion.overrides.items():
        if backbone is not None and backbone.get(key) != value:
            raise InputError(
                f"teacher file '{path}' was learned with backbone "
                f'{key}={value}, the config has {backbone.get(key)}: set '
                f'model.teacher.backbone.{key}')
    return conversion.state_dict

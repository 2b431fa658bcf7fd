from pathlib import Path
from typing import Union

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.converters import load_strictly, read_conversion
from mmdisco.errors import InputError
from .download import fetch
from .index import Entry, find


def get_model(name: str,
              pretrained: Union[bool, str] = False,
              dest: str = 'checkpoints') -> nn.Module:
    """Build a model of the zoo.

    Args:
        name (str): One of :func:`list_models`.
        pretrained (bool or str): A file with its weights, of any layout that
            is known; True takes the published one, and downloads it if it is
            not there. Defaults to False, random weights.
        dest (str): Folder of downloaded files, where the configs look for
            them. Defaults to 'checkpoints'.

    Returns:
        nn.Module: A :class:`FrozenTeacher` for teachers; for all others the
        student's backbone, in eval mode. Its input is normalised images,
        [N, 3, H, W], its output a tuple of the last feature map, or of the
        class token of transformers.

    Raises:
        ValueError: If there is no such model, no file of it is published, a
            teacher is wanted without weights, or the file does not fit.
    """
    entry = find(name)
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(entry.config)
    if 'teacher' in cfg and 'model' not in cfg:
        if not pretrained:
            raise InputError(
                f"'{name}' is a teacher, which is nothing without weights: "
                'pretrained=True downloads them, or name a file')
        return MODELS.build(dict(
            cfg.teacher, checkpoint=_file_of(entry, pretrained, dest)))
    backbone = cfg.model.get('ssl', cfg.model).backbone
    if not pretrained:
        model = MODELS.build(backbone)
        model.init_weights()
    else:
        path = _file_of(entry, pretrained, dest)
        conversion = read_conversion(path)
        model = MODELS.build({**backbone, **conversion.overrides})
        load_strictly(model, {
            key[len('backbone.'):]: value
            for key, value in conversion.state_dict.items()
            if key.startswith('backbone.')}, f"'{path}'")
    model.eval()
    return model


def _file_of(entry: Entry, pretrained: Union[bool, str], dest: str) -> str:
    """The file of the weights, downloaded if need be."""
    if isinstance(pretrained, str):
        return pretrained
    if not entry.urls:
        raise InputError(f"nobody publishes weights for '{entry.name}': train "
                         f'it by {entry.config}, or name a file of yours')
    path = Path(dest, entry.file)
    if not path.exists():
        fetch(entry.urls, str(path), entry.sha256)
    return str(path)

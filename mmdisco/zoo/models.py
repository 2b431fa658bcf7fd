from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.checkpoints import check_settings, load_strictly, read_conversion
from mmdisco.errors import InputError
from mmdisco.utils import quiet_init
from .download import check_file, fetch
from .index import Entry, find


def get_model(
    name: str, pretrained: bool | str | Path = False, dest: str = 'checkpoints'
) -> nn.Module:
    """Build a model of the zoo.

    Args:
        name (str): One of :func:`list_models`.
        pretrained (bool, str or Path): A file with its weights, of any layout
            that is known; True takes the published one, and downloads it if
            it is not there. Defaults to False, random weights.
        dest (str): Folder of downloaded files, where the configs look for
            them. Defaults to 'checkpoints'.

    Returns:
        nn.Module: A :class:`FrozenTeacher` for teachers; for all others the
        student's backbone, in eval mode. Its input is normalised images,
        [N, 3, H, W], its output a tuple of the last feature map, or of the
        class token of transformers.

    Raises:
        InputError: If there is no such model, no file of it is published, a
            teacher is wanted without weights, or the file does not fit.
    """
    entry = find(name)
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(entry.config)
    if 'teacher' in cfg and 'model' not in cfg:
        if not pretrained:
            raise InputError(
                f"'{name}' is a teacher, which is nothing without weights: "
                'pretrained=True downloads them, or name a file'
            )
        return MODELS.build(
            dict(cfg.teacher, checkpoint=_file_of(entry, pretrained, dest))
        )
    backbone = cfg.model.get('ssl', cfg.model).backbone
    if not pretrained:
        with quiet_init():
            model = MODELS.build(backbone)
            model.init_weights()
    else:
        path = _file_of(entry, pretrained, dest)
        conversion = read_conversion(path)
        model = MODELS.build({**backbone, **conversion.overrides})
        load_strictly(model, conversion.part('backbone'), f"'{path}'")
        check_settings(conversion, model, f"'{path}'", f'{entry.config}: backbone')
    model.eval()
    return model


def _file_of(entry: Entry, pretrained: bool | str | Path, dest: str) -> str:
    """The file of the weights, downloaded if need be."""
    if not isinstance(pretrained, bool):
        return str(pretrained)
    if not entry.urls:
        raise InputError(
            f"nobody publishes weights for '{entry.name}': train "
            f'it by {entry.config}, or name a file of yours'
        )
    path = Path(dest, entry.file)
    if path.exists():
        check_file(path, entry.sha256)
    else:
        fetch(entry.urls, str(path), entry.sha256)
    return str(path)

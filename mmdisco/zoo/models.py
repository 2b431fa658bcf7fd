"""Names, metadata and networks of the models in ``model-index.yml``."""

import copy
from difflib import get_close_matches
from fnmatch import filter as matching
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from modelindex.load_model_index import load
from modelindex.models.Model import Model
from torch import nn

from mmdisco.checkpoints import check_settings, load_strictly, read_conversion
from mmdisco.checkpoints.licence import file_of
from mmdisco.errors import InputError
from mmdisco.paths import project_root
from mmdisco.utils import quiet_init
from .download import check_file, fetch


class Entry(NamedTuple):
    """Index entry of a model.

    Args:
        name (str): Name of the model.
        config (str): Absolute path of the config.
        urls (tuple[str, ...]): Addresses of the weights, the main one first,
            then mirrors; a path if the file is part of this package.
        sha256 (str, optional): Of the weights; None if unknown.
        file (str, optional): Name of the file of weights where the config looks
            for it; None without weights.
        metadata (dict): Source, licence, sizes and numbers, each with its
            provenance.
    """

    name: str
    config: str
    urls: tuple[str, ...]
    sha256: str | None
    file: str | None
    metadata: dict


@cache
def _models() -> dict[str, Model]:
    """Models of ``model-index.yml`` by name, merged with their collection."""
    index = load(str(project_root() / 'model-index.yml'))
    index.build_models_with_collections()
    return {model.name: model.full_model for model in index.models}


def list_models(pattern: str = '*') -> list[str]:
    """List the models of the index by name, sorted.

    Args:
        pattern (str): Shell pattern, e.g. 'r50_*'. Defaults to '*'.
    """
    return sorted(matching(_models(), pattern))


def find(name: str) -> Entry:
    """Look up a model in the index.

    Args:
        name (str): One of :func:`list_models`.

    Raises:
        InputError: If it is not in the index; the message lists close matches.
    """
    if name not in _models():
        near = ', '.join(get_close_matches(name, _models(), n=3))
        raise InputError(
            f"no model '{name}' in the index; "
            + (f'nearest: {near}; ' if near else '')
            + 'mmdisco.zoo.list_models() lists all'
        )
    model = _models()[name]
    metadata = copy.deepcopy(model.metadata.data)
    root = project_root()
    addresses = [model.weights, *metadata.get('Mirrors', [])]
    urls = tuple(url if '://' in url else str(root / url) for url in addresses if url)
    # files of the Hugging Face Hub are all called model.safetensors
    file = metadata.get('File') or (file_of(urls[0]) if urls else None)
    return Entry(
        name, str(root / model.config), urls, metadata.get('SHA256'), file, metadata
    )


def get_model(
    name: str, pretrained: bool | str | Path = False, dest: str = 'checkpoints'
) -> nn.Module:
    """Build a model of the zoo.

    Args:
        name (str): One of :func:`list_models`.
        pretrained (bool, str or Path): A file of weights in any supported
            layout, or True for the published weights, downloaded if the file
            is missing. Defaults to False: random weights.
        dest (str): Folder of downloaded files, where the configs look for
            them. Defaults to 'checkpoints'.

    Returns:
        nn.Module: A :class:`FrozenTeacher` for teachers; otherwise the
        student's backbone, in eval mode. Input: normalised images,
        [N, 3, H, W]. Output of a backbone: a tuple with the last feature map,
        or the class token of a transformer.

    Raises:
        InputError: If the model is unknown, its weights are not published, a
            teacher is requested without weights, or the file does not fit.
    """
    entry = find(name)
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(entry.config)
    if 'teacher' in cfg and 'model' not in cfg:
        if not pretrained:
            raise InputError(
                f"'{name}' is a teacher and needs weights: "
                'pretrained=True downloads them, or pass a file'
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
    """Path of the weights, downloaded if missing."""
    if not isinstance(pretrained, bool):
        return str(pretrained)
    if entry.file is None:
        raise InputError(
            f"'{entry.name}' has no published weights: train "
            f'it with {entry.config}, or name your own file'
        )
    path = Path(dest, entry.file)
    if path.exists():
        check_file(path, entry.sha256)
    else:
        fetch(entry.urls, str(path), entry.sha256)
    return str(path)

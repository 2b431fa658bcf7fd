"""Teachers by name: of the index, or of timm, torchvision and mmpretrain."""

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from torchvision.models import get_model_weights

from mmdisco.checkpoints.licence import file_of
from mmdisco.errors import InputError
from mmdisco.models import TimmNetwork, TorchvisionNetwork, named_network
from mmdisco.utils import without_weights
from .models import Entry, find, list_models

TIMM, TORCHVISION, MMPRETRAIN = 'timm:', 'torchvision:', 'mmpretrain:'
_EMBEDDINGS = {
    'ClassTokenNeck': 'class token',
    'ClassAndPatchNeck': 'class token and mean of the patches',
    'GlobalAveragePooling': 'pooled feature',
    'PooledNeck': 'pooled feature',
}
_HUB = 'https://huggingface.co/{}/resolve/main/model.safetensors'


class TeacherInfo(NamedTuple):
    """A teacher of the index.

    Args:
        name (str): Its name.
        config (str): Absolute path of its config, with ``teacher``.
        description (str): Network and training.
        params (int): Parameters of the backbone.
        width (int): Width of the embedding.
        embedding (str): Which one: 'class token', 'pooled feature' or 'projection
            head'.
        size (int): Height and width of images in pixels.
        patch (int, optional): Side of the patches, which divides that of images.
            None for convolutional networks.
        licence (str): Licence of the file.
        commercial (bool, optional): Whether it allows commercial use. None if no
            licence is stated for the file.
        note (str): What the licence is of, or where its conditions are.
        head (bool): Whether it has a projection head.
        supervised (bool): Whether it learned from labels.
        source (str): Who published it.
        url (str): Address of the file.
        figure (str): Published accuracy, empty without one.
    """

    name: str
    config: str
    description: str
    params: int
    width: int
    embedding: str
    size: int
    patch: int | None
    licence: str
    commercial: bool | None
    note: str
    head: bool
    supervised: bool
    source: str
    url: str
    figure: str

    @property
    def commercial_use(self) -> str:
        """Whether commercial use is allowed, in words."""
        if self.commercial and 'conditions' in self.note:
            return 'on conditions'
        return {True: 'yes', False: 'no', None: 'not stated'}[self.commercial]


def _figure(data: dict) -> str:
    """Published accuracy of a file, in words."""
    result = data.get('As reported with the checkpoint')
    if not result:
        return ''
    if 'Top 1 Accuracy' not in result:
        return f'{result["Linear Probe Accuracy"]} linear ({result["Dataset"]})'
    how = result.get('Protocol') or (
        'supervised' if data.get('Supervised') else 'linear'
    )
    return f'{result["Top 1 Accuracy"]} {how}'


def _info(entry: Entry) -> TeacherInfo:
    data = entry.metadata
    neck = Config.fromfile(entry.config).teacher.neck
    return TeacherInfo(
        name=entry.name,
        config=entry.config,
        description=data['Description'],
        params=data['Parameters'],
        width=data['Width'],
        embedding=_EMBEDDINGS.get(neck.type, 'projection head'),
        size=data['Resolution'],
        patch=data.get('Patch'),
        licence=data['Licence'],
        commercial=data.get('Commercial Use'),
        note=data.get('Licence Note', ''),
        head=neck.type not in _EMBEDDINGS,
        supervised=bool(data.get('Supervised')),
        source=data['Source'],
        url=entry.urls[0],
        figure=_figure(data),
    )


def _names() -> list[str]:
    """Names of the teachers of the index."""
    return [name for name in list_models() if '/_base_/teachers/' in find(name).config]


@cache
def _teachers() -> tuple[TeacherInfo, ...]:
    return tuple(_info(find(name)) for name in _names())


def entry_of(name: str) -> Entry:
    """Index entry of a model, or one for a teacher of a library.

    Args:
        name (str): One of :func:`list_models`, or a name of :func:`teacher_config`
            with the prefix of a library.

    Raises:
        InputError: If there is no such model.
    """
    if not name.startswith((TIMM, TORCHVISION, MMPRETRAIN)):
        return find(name)
    config = teacher_config(name)
    urls = (config['url'],) if config['url'] else ()
    return Entry(name, '', urls, None, Path(config['checkpoint']).name, {})


def list_teachers() -> list[TeacherInfo]:
    """List the teachers of the index, by name."""
    return list(_teachers())


def teacher_config(name: str) -> dict[str, Any]:
    """Config of a teacher, a :class:`FrozenTeacher`, by name.

    Args:
        name (str): One of :func:`list_teachers`; 'timm:NAME' for any network of
            timm, with the tag of its weights or timm's default;
            'torchvision:NAME', e.g. 'torchvision:resnet50' or
            'torchvision:resnet50.IMAGENET1K_V1'; or 'mmpretrain:NAME', a model of
            its index. The embedding is the feature as
            the library pools it, and for DINOv3 and EUPE the class token.

    Returns:
        dict: A new config. ``checkpoint`` is where ``tools/download.py`` puts the
        file of a teacher of the index, and ``url`` its address, which is None if
        the library states none.

    Raises:
        InputError: If there is no such teacher; the message lists close matches.

    Example:
        >>> teacher_config('dinov2_vits14')['neck']['in_channels']
        384
    """
    if name.startswith(TIMM):
        return _timm_config(name.removeprefix(TIMM))
    if name.startswith(TORCHVISION):
        return _torchvision_config(name.removeprefix(TORCHVISION))
    if name.startswith(MMPRETRAIN):
        return _mmpretrain_config(name)
    names = _names()
    if name not in names:
        near = ', '.join(get_close_matches(name, names, n=3))
        raise InputError(
            f"no teacher '{name}' in the index; "
            + (f'nearest: {near}; ' if near else '')
            + "'mmdisco list teachers' lists all; timm:NAME, torchvision:NAME "
            'and mmpretrain:NAME are networks of these libraries'
        )
    return Config.fromfile(find(name).config).teacher.to_dict()


def _timm_config(name: str) -> dict[str, Any]:
    network = without_weights(lambda: TimmNetwork(name))
    weights = network.network.pretrained_cfg
    tag = weights.get('tag')
    full = f'{weights["architecture"]}.{tag}' if tag else name
    # DINOv3's and EUPE's makers use the class token, which timm does not pool by
    by_token = network.network.__dict__.get('global_pool') == 'token' or (
        tag and 'dinov3' in full
    )
    if by_token and network.has_class_token and network.has_final_norm:
        neck = dict(type='ClassTokenNeck', in_channels=network.feat_channels)
    else:
        neck = dict(type='PooledNeck', in_channels=network.pooled_channels)
    hub, url = weights.get('hf_hub_id'), weights.get('url') or None
    on_hub = hub and not weights.get('hf_hub_filename')
    if on_hub:
        url = _HUB.format(hub)
    file = f'{full}.safetensors' if on_hub or not url else file_of(url)
    return dict(
        type='FrozenTeacher',
        backbone=dict(type='TimmNetwork', name=full),
        neck=neck,
        checkpoint=f'checkpoints/{file}',
        url=url,
        mean=[round(value, 4) for value in network.mean],
        std=[round(value, 4) for value in network.std],
    )


def _torchvision_config(name: str) -> dict[str, Any]:
    arch, _, tag = name.partition('.')
    network = without_weights(lambda: TorchvisionNetwork(arch))
    published: Any = get_model_weights(arch)
    known = [each.name for each in published]
    if tag and tag not in known:
        raise InputError(
            f"torchvision has no weights '{tag}' of '{arch}': use one of "
            f'{", ".join(known)}'
        )
    weights = published[tag] if tag else published.DEFAULT
    images = weights.transforms()
    return dict(
        type='FrozenTeacher',
        backbone=dict(type='TorchvisionNetwork', name=arch),
        neck=dict(type='PooledNeck', in_channels=network.pooled_channels),
        checkpoint=f'checkpoints/{file_of(weights.url)}',
        url=weights.url,
        mean=[round(255.0 * value, 4) for value in images.mean],
        std=[round(255.0 * value, 4) for value in images.std],
    )


def _mmpretrain_config(name: str) -> dict[str, Any]:
    network = named_network(name)
    if network.mean is None:
        raise InputError(
            f"'{name}' did not learn from normalised RGB images, which a teacher gets "
            'here: use another one'
        )
    # named_network has read the index
    from mmpretrain.apis.model import ModelHub

    url = ModelHub.get(name.removeprefix(MMPRETRAIN)).weights
    return dict(
        type='FrozenTeacher',
        backbone=network.backbone['backbone'],
        neck=dict(type='PooledNeck', in_channels=network.width),
        checkpoint=f'checkpoints/{file_of(url) if url else name + ".pth"}',
        url=url,
        mean=network.mean,
        std=network.std,
    )

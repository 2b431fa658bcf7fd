"""A training from stored embeddings of a teacher."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmdisco.checkpoints import sha256_of
from mmdisco.datasets.listing import EXTENSIONS
from mmdisco.datasets.photos import image_folder
from mmdisco.datasets.stored import Store, ViewReplay, images_of, versions_of
from mmdisco.datasets.stored.store import PROBE
from mmdisco.errors import InputError
from mmdisco.models import DistillLoss
from .schedule import losses_of
from .views import ConfigViews, plain, preprocessor_of, seen_kinds, views_of

LOST = 0.5  # mean difference of replayed pixels, in levels of 256, that is refused


def teacher_of(cfg: Config) -> dict:
    """What identifies a teacher in a config, of JSON types."""
    teacher = plain(cfg.model.teacher.to_dict())
    return {
        'backbone': teacher.get('backbone'),
        'neck': teacher.get('neck'),
        'mean': teacher.get('mean'),
        'std': teacher.get('std'),
        'norm_mode': teacher.get('norm_mode', 'eval'),
    }


def check_storable(cfg: Config) -> None:
    """Check that a training needs a teacher's embeddings of single images alone.

    Args:
        cfg (Config): Config of the training.

    Raises:
        InputError: If it does not, with what it needs.
    """
    if 'teacher' not in cfg.model or cfg.model.get('type') != 'DisCo':
        raise InputError(
            f'a teacher store is for a config with model.type=DisCo, this one has '
            f'{cfg.model.get("type")}'
        )
    if cfg.model.teacher.get('norm_mode', 'eval') != 'eval':
        raise InputError(
            'model.teacher.norm_mode is batch, so that embeddings depend on the batch '
            "and can't be stored: set it to eval"
        )
    kind = cfg.train_dataloader.dataset.get('type')
    if kind != 'Photos':
        raise InputError(
            f'a teacher store is for images of a folder (Photos), the config has {kind}'
        )
    for loss in losses_of(cfg):
        built = MODELS.get(loss.type)
        if inspect.isclass(built) and issubclass(built, DistillLoss):
            if built.on == 'feat':
                raise InputError(
                    f'{loss.type} compares feature maps, a teacher store has '
                    'embeddings: train with the teacher itself'
                )
    if cfg.model.get('mixup'):
        raise InputError(
            f'model.mixup={cfg.model.mixup} mixes images that the teacher has not '
            'embedded: set it to 0, or train with the teacher itself'
        )


def use_store(cfg: Config, folder: str) -> list[str]:
    """Train with the stored embeddings of a teacher in place of the teacher.

    Must be called before ``--speed`` changes the views. A config that has been
    changed and dumped is checked again, and its folder of images set anew.

    Args:
        cfg (Config): The config, changed in place.
        folder (str): The store.

    Returns:
        list[str]: Lines for the log.

    Raises:
        InputError: If the store is of another teacher, of other views, was made
            under other versions, or lacks images.
    """
    store = Store(folder)
    header = store.header
    dataset = cfg.train_dataloader.dataset
    if cfg.model.teacher.type == 'StoredTeacher':
        before = Store(cfg.model.teacher.store).header['identity']
        if before != header['identity']:
            raise InputError(
                f"the config uses the store '{cfg.model.teacher.store}', not "
                f"'{folder}': leave --teacher-store out, or use the config before it"
            )
        dataset.pipeline[0].update(store=str(folder), root=_root_of(dataset))
        cfg.model.teacher.store = str(folder)
        _check_images(store, dataset)
        return check_replay(header, store.folder)
    check_storable(cfg)
    _check_teacher(header, cfg)
    views = views_of(cfg, fast=header['images']['to_rgb'] is False)
    kinds = _match_kinds(header, views, cfg)
    _check_images(store, dataset)
    notes = check_replay(header, store.folder)
    preprocessor = preprocessor_of(cfg)
    cfg.data_preprocessor = dict(
        type='SelfSupDataPreprocessor',
        mean=preprocessor.get('mean'),
        std=preprocessor.get('std'),
        to_rgb=header['images']['to_rgb'],
    )
    dataset.pipeline = [
        dict(
            type='StoredViews',
            store=str(folder),
            root=_root_of(dataset),
            kinds=kinds.kinds,
            live=kinds.live,
        )
    ]
    stored = [view for view, kind in enumerate(kinds.kinds) if kind >= 0]
    cfg.model.teacher = dict(type='StoredTeacher', store=str(folder), views=stored)
    notes = [
        *notes,
        f"teacher store '{folder}': {store.num_views} views of {len(store)} images, "
        f'{header["dtype"]}, by {header["teacher"]["file"]} (sha256 '
        f'{header["teacher"]["sha256"][:12]})',
    ]
    if store.left_out:
        notes.append(
            f"teacher store '{folder}' grows, its newest images or views are not "
            'complete: they are not used'
        )
    return notes


class _Kinds(NamedTuple):
    kinds: list[int]
    live: list[list[dict]]


def _match_kinds(header: dict, views: ConfigViews, cfg: Config) -> _Kinds:
    """Kind in the store of each view; -1, -2, … for views the teacher never sees."""
    recipes = [kind['recipe'] for kind in header['kinds']]
    seen = seen_kinds(cfg, views)
    live: list[list[dict]] = []
    kinds = []
    place: dict[int, int] = {}
    for kind in views.kinds:
        recipe = views.recipes[kind]
        if kind not in place:
            if recipe in recipes:
                place[kind] = recipes.index(recipe)
            elif kind in seen:
                raise InputError(
                    'the views of the teacher store are others than those of the '
                    f'config: {_difference(recipes, recipe)}'
                )
            else:
                if views.rgb == header['images']['to_rgb']:
                    raise InputError(
                        'the store and the small crops of the config differ in the '
                        'order of colours: store with the same --speed'
                    )
                live.append(views.pipelines[kind])
                place[kind] = -len(live)
        kinds.append(place[kind])
    return _Kinds(kinds, live)


def _difference(stored: Sequence[dict], wanted: dict) -> str:
    """The fewest values in which a recipe differs from one of the stored ones."""

    def different(recipe: Mapping) -> list[str]:
        keys = dict.fromkeys((*wanted, *recipe))
        return [
            f'{key} {wanted.get(key)} in the config, {recipe.get(key)} in the store'
            for key in keys
            if wanted.get(key) != recipe.get(key)
        ]

    texts = [different(recipe) for recipe in stored]
    fewest = min(range(len(texts)), key=lambda i: len(texts[i]))
    return '; '.join(texts[fewest])


def _check_teacher(header: dict, cfg: Config) -> None:
    stored, given = header['teacher'], teacher_of(cfg)
    for key, value in given.items():
        if stored[key] != value:
            raise InputError(
                f'the store is of another teacher: model.teacher.{key} is '
                f'{value} in the config, {stored[key]} in the store'
            )
    path = cfg.model.teacher.get('checkpoint')
    if path and Path(path).exists():
        digest = sha256_of(path)
        if digest != stored['sha256']:
            raise InputError(
                f"the store is of another teacher: '{path}' has sha256 "
                f'{digest[:12]}, the store has {stored["sha256"][:12]} '
                f'({stored["file"]})'
            )
    elif path and Path(path).name != stored['file']:
        raise InputError(
            f"the store is of the teacher's file '{stored['file']}', the config names "
            f"'{path}', which does not exist: set model.teacher.checkpoint"
        )
    if not stored['own_normalisation']:
        preprocessor = preprocessor_of(cfg)
        for key in ('mean', 'std'):
            if preprocessor.get(key) != header['images'][key]:
                raise InputError(
                    f'the teacher of the store saw images of data_preprocessor.{key} '
                    f'{header["images"][key]}, the config has {preprocessor.get(key)}'
                )


def _root_of(dataset: Mapping) -> str:
    return str(
        image_folder(dataset.get('data_root', ''), dataset.get('data_prefix', ''))
    )


def _check_images(store: Store, dataset: Mapping) -> None:
    """Check that all images of a data set are stored."""
    root = _root_of(dataset)
    _, names, _, sizes = images_of(root, dataset.get('extensions', EXTENSIONS))
    rows = store.rows_of(names)
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        raise InputError(
            f"{len(missing)} of {len(names)} images in '{root}' are not in the store "
            f"'{store.folder}', e.g. '{names[missing[0]]}': add them by "
            f'{store.header["command"]}'
        )
    if sizes is None:  # each is compared when it is read
        return
    changed = np.flatnonzero(np.array(store.sizes)[rows] != np.array(sizes))
    if len(changed):
        first = changed[0]
        raise InputError(
            f"{len(changed)} of {len(names)} images in '{root}' are others than those "
            f"of the store '{store.folder}', e.g. '{names[first]}' of {sizes[first]} "
            f'bytes instead of {store.sizes[rows[first]]}: store these, or train on '
            'the images that were stored'
        )


def check_replay(header: dict, folder: Path) -> list[str]:
    """Check that the views of a store can be replayed here.

    Args:
        header (dict): Header of the store.
        folder (Path): The store.

    Returns:
        list[str]: A line for the log if some pixels differ by rounding.

    Raises:
        InputError: If a version that determines the pixels differs, or the pixels of
            the store's probe do.
    """
    pipelines = [kind['pipeline'] for kind in header['kinds']]
    here = versions_of(pipelines)
    different = [
        f'{name} {version} in the store, {here.get(name)} here'
        for name, version in header['versions'].items()
        if here.get(name) != version
    ]
    if different:
        raise InputError(
            f"the views of the store '{folder}' can't be replayed: "
            f'{"; ".join(different)}: install these versions, or store again'
        )
    try:
        with np.load(folder / PROBE) as probe:
            content, seeds = probe['image'].tobytes(), probe['seeds'].tolist()
            expected = [probe[f'kind{kind}'] for kind in range(len(pipelines))]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(
            f"'{folder / PROBE}' is missing or damaged ({error}): store again"
        ) from error
    lost = replay_difference(ViewReplay(pipelines), content, seeds, expected)
    if lost > LOST:
        raise InputError(
            f"the views of the store '{folder}' can't be replayed: pixels differ by "
            f'{lost:.1f} of 256 levels on average, with the same versions: use the '
            "store's version of mmdisco, or store again"
        )
    if lost:
        return [
            f"teacher store '{folder}': replayed pixels differ from the stored ones by "
            f'{lost:.2g} of 256 levels on average, by rounding of this processor'
        ]
    return []


def replay_difference(
    replay: ViewReplay,
    content: bytes,
    seeds: Sequence[int],
    expected: Sequence[np.ndarray],
) -> float:
    """Mean difference of replayed pixels from stored ones, in levels of 256.

    Args:
        replay (ViewReplay): The views.
        content (bytes): An image file.
        seeds (Sequence[int]): Seeds of its views.
        expected (Sequence[np.ndarray]): Views of each kind, uint8 [V, 3, H, W].
    """
    with NamedTemporaryFile(suffix='.image') as file:
        file.write(content)
        file.flush()
        lost = [
            np.abs(view.numpy().astype(int) - stored).mean()
            for kind, views in enumerate(expected)
            for view, stored in zip(
                replay.views(file.name, [(kind, seed) for seed in seeds]), views
            )
        ]
    return float(max(lost))

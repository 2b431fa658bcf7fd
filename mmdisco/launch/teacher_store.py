"""Recipes of a config's views, and a training from a store of embeddings."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmdisco.checkpoints import sha256_of
from mmdisco.datasets.listing import EXTENSIONS, list_images
from mmdisco.datasets.photos import image_folder
from mmdisco.datasets.stored import Store, ViewReplay, versions_of
from mmdisco.datasets.stored.store import PROBE
from mmdisco.datasets.transforms import LoadCrops, ViewRecipe
from mmdisco.errors import InputError
from mmdisco.models import DistillLoss
from .fast_views import use_fast_views
from .schedule import losses_of

LOST = 0.5  # mean difference of replayed pixels, in levels of 256, that is refused


class ConfigViews(NamedTuple):
    """Views of a config's training images.

    Attributes:
        kinds (list[int]): Kind of each view.
        recipes (list[dict]): What each kind draws, of JSON types; equal for a
            pipeline and for the faster one with the same distribution.
        pipelines (list[list[dict]]): Transforms of one view of each kind.
        rgb (bool): Whether these give RGB, not BGR.
    """

    kinds: list[int]
    recipes: list[dict]
    pipelines: list[list[dict]]
    rgb: bool


def plain(value: Any) -> Any:
    """A config's value in JSON types.

    Raises:
        InputError: If it has others.
    """
    try:
        return json.loads(json.dumps(value))
    except TypeError as error:
        raise InputError(
            f'a teacher store needs a config of plain values: {error}'
        ) from error


def views_of(cfg: Config, fast: bool = False) -> ConfigViews:
    """Read the views that a config draws, before ``--speed`` rewrites them.

    Args:
        cfg (Config): The config.
        fast (bool): Whether to use the faster pipelines where all views have one.
            Defaults to False.

    Returns:
        ConfigViews: The views.

    Raises:
        InputError: If the pipeline is not one of views on the CPU, or the data
            preprocessor makes them.
    """
    preprocessor = _preprocessor(cfg)
    pipeline = plain(cfg.train_dataloader.dataset.get('pipeline') or [])
    types = [step.get('type') for step in pipeline]
    if types[:1] == ['LoadCrops'] and types[-1:] == ['PackInputs']:
        steps = _crop_views(pipeline, preprocessor)
        rgb = True
    elif types[1:] == ['MultiView', 'PackInputs']:
        steps = _multi_views(pipeline)
        rgb = False
    else:
        raise InputError(
            f'a teacher store needs a pipeline of a loader, MultiView and PackInputs, '
            f'or of LoadCrops, the config has {", ".join(map(str, types)) or "none"}'
        )
    if bool(preprocessor.get('to_rgb')) == rgb:
        raise InputError(
            'a teacher store needs images in RGB: set data_preprocessor.to_rgb='
            f'{not rgb} for this pipeline'
        )
    faster = [view if rgb else _faster(view, preprocessor) for view in steps]
    recipes = [
        dict(steps=slow) if quick is None else _recipe(quick)
        for slow, quick in zip(steps, faster)
    ]
    kinds: list[dict] = []
    for recipe in recipes:
        if recipe not in kinds:
            kinds.append(recipe)
    firsts = [recipes.index(recipe) for recipe in kinds]
    if fast and None not in faster:
        steps, rgb = [view for view in faster if view is not None], True
    return ConfigViews(
        [kinds.index(recipe) for recipe in recipes],
        kinds,
        [steps[first] for first in firsts],
        rgb,
    )


def _preprocessor(cfg: Config) -> dict:
    """The data preprocessor of a training."""
    if any('data_preprocessor' in p for p in (cfg.model, cfg.model.get('ssl', {}))):
        raise InputError(
            'a teacher store needs data_preprocessor at the top of the config: move '
            "it there from the model's"
        )
    preprocessor = plain(cfg.get('data_preprocessor') or {})
    kind = preprocessor.get('type', 'SelfSupDataPreprocessor')
    if kind not in ('SelfSupDataPreprocessor', 'DeviceViews'):
        raise InputError(
            f'a teacher store replays views of the loader, but {kind} makes them of '
            'batches: use data_preprocessor.type=SelfSupDataPreprocessor'
        )
    return preprocessor


def _crop_views(pipeline: list[dict], preprocessor: dict) -> list[list[dict]]:
    """Transforms of each view of LoadCrops."""
    load, *middle, _ = pipeline
    num = load.get('num_views', _default(LoadCrops, 'num_views'))
    loads = [dict(load, num_views=1) for _ in range(num)]
    for name, depth in (('size', 0), ('scale', 1), ('interpolation', 0)):
        value = load.get(name)
        if isinstance(value, list) and (not depth or isinstance(value[0], list)):
            for each, own in zip(loads, value):
                each[name] = own
    if preprocessor.get('type') == 'DeviceViews':
        middle = [dict(preprocessor, type='PhotometricViews')]
    if [step['type'] for step in middle] not in ([], ['PhotometricViews']):
        raise InputError(
            'a teacher store needs LoadCrops and PhotometricViews alone, the config '
            f'has {", ".join(step["type"] for step in pipeline)}'
        )
    if not middle:
        return [[each] for each in loads]
    views = middle[0].get('views', [{}])
    views = views * num if len(views) == 1 else views
    augment = [dict(type='PhotometricViews', num_views=1, views=[v]) for v in views]
    return [list(pair) for pair in zip(loads, augment)]


def _multi_views(pipeline: list[dict]) -> list[list[dict]]:
    """Loader and transforms of each view of MultiView."""
    load, multi, _ = pipeline
    counts = multi['num_views']
    counts = counts if isinstance(counts, list) else [counts]
    return [
        [load, *steps]
        for steps, count in zip(multi['transforms'], counts)
        for _ in range(count)
    ]


def _faster(view: list[dict], preprocessor: dict) -> list[dict] | None:
    """The faster pipeline of one view, None if there is none."""
    load, *steps = view
    one = Config(
        dict(
            model={},
            data_preprocessor=preprocessor,
            train_dataloader=dict(
                dataset=dict(
                    pipeline=[
                        load,
                        dict(type='MultiView', num_views=1, transforms=[steps]),
                        dict(type='PackInputs'),
                    ]
                )
            ),
        )
    )
    if not use_fast_views(one, on_device=False):
        return None
    (fast,) = _crop_views(plain(one.train_dataloader.dataset.pipeline), {})
    return fast


def _default(kind: type, name: str) -> Any:
    return inspect.signature(kind).parameters[name].default


def _recipe(view: list[dict]) -> dict:
    """What a view of LoadCrops draws, with all defaults."""
    load, *augment = view
    crop = {
        name: load.get(name, _default(LoadCrops, name))
        for name in ('size', 'scale', 'ratio', 'interpolation', 'background')
    }
    if augment:
        given = augment[0].get('views', [{}])[0]
    else:
        given = {f'{p}_prob': 0.0 for p in ('jitter', 'gray', 'blur', 'flip')}
    colours = asdict(ViewRecipe(**given))
    for part, prob in dict(
        brightness='jitter',
        contrast='jitter',
        saturation='jitter',
        hue='jitter',
        sigma='blur',
    ).items():
        if not colours[f'{prob}_prob']:  # never applied
            colours[part] = None
    return plain({**crop, **colours})


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
        dataset.pipeline[0].update(
            store=str(folder), root=_root_of(dataset), kinds=dataset.pipeline[0].kinds
        )
        cfg.model.teacher.store = str(folder)
        _check_images(store, dataset)
        _check_replay(store)
        return []
    check_storable(cfg)
    _check_teacher(header, cfg)
    views = views_of(cfg, fast=header['images']['to_rgb'] is False)
    kinds = _match_kinds(header, views, cfg)
    _check_images(store, dataset)
    _check_replay(store)
    preprocessor = _preprocessor(cfg)
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
        f"teacher store '{folder}': {store.num_views} views of {len(store)} images, "
        f'{header["dtype"]}, by {header["teacher"]["file"]} (sha256 '
        f'{header["teacher"]["sha256"][:12]})'
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


def seen_kinds(cfg: Config, views: ConfigViews) -> set[int]:
    """Kinds of views that the teacher embeds: all, or those as large as the first."""
    kinds = {*views.kinds}
    if cfg.model.get('distill_crops', 'all') == 'all':
        return kinds
    return {
        kind
        for kind in kinds
        if size_of_view(views.recipes[kind]) == size_of_view(views.recipes[0])
    }


def size_of_view(recipe: dict) -> Any:
    """Size of a view by its recipe, in pixels; None if it does not state any."""
    if 'size' in recipe:
        return recipe['size']
    sizes = [s.get('scale') for s in recipe['steps'] if 'Crop' in s.get('type', '')]
    return sizes[0] if sizes else None


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
        preprocessor = _preprocessor(cfg)
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
    names, _ = list_images(root, dataset.get('extensions', EXTENSIONS))
    missing = np.flatnonzero(store.rows_of(names) < 0)
    if len(missing):
        raise InputError(
            f"{len(missing)} of {len(names)} images in '{root}' are not in the store "
            f"'{store.folder}', e.g. '{names[missing[0]]}': add them by "
            f'{store.header["command"]}'
        )


def check_versions(header: dict, folder: Path) -> None:
    """Compare the versions that a store was made under with those here.

    Args:
        header (dict): Header of the store.
        folder (Path): The store, for the message.

    Raises:
        InputError: If one that determines the pixels differs.
    """
    here = versions_of([kind['pipeline'] for kind in header['kinds']])
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


def _check_replay(store: Store) -> None:
    """Compare versions, and replayed pixels with some that were stored."""
    check_versions(store.header, store.folder)
    replay = ViewReplay([kind['pipeline'] for kind in store.header['kinds']])
    with np.load(store.folder / PROBE) as probe:
        content, seeds = probe['image'], probe['seeds']
        expected = [probe[f'kind{kind}'] for kind in range(len(replay.kinds))]
    lost = replay_difference(replay, content.tobytes(), seeds.tolist(), expected)
    if lost > LOST:
        raise InputError(
            f"the views of the store '{store.folder}' can't be replayed: pixels differ "
            f'by {lost:.1f} of 256 levels on average, with the same versions: store '
            'again'
        )


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

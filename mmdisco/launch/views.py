"""The views that a config draws of its images, and what identifies them."""

import inspect
import json
from dataclasses import asdict
from typing import Any, NamedTuple

from mmengine.config import Config

from mmdisco.datasets.transforms import LoadCrops, ViewRecipe
from mmdisco.errors import InputError
from .fast_views import use_fast_views


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
    preprocessor = preprocessor_of(cfg)
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


def preprocessor_of(cfg: Config) -> dict:
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

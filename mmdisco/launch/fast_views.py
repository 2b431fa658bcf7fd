"""A pipeline of views replaced by a faster one with the same distribution."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mmengine.config import Config

from mmdisco.datasets.transforms.load_photo import is_mmcvs_loader

_WEIGHTS = (0.114, 0.587, 0.2989)  # of B, G and R in grayscale
_CROP = dict(type='RandomResizedCrop', interpolation='bilinear', backend='pillow')


class _Views(NamedTuple):
    """Views of MoCo-v2's kind: a crop, colour, grey, blur and flip."""

    num_views: int
    size: int
    scale: tuple[float, float]
    recipe: dict[str, Any]  # arguments of ViewRecipe


def use_fast_views(cfg: Config, on_device: bool) -> bool:
    """Replace views of MoCo-v2's kind by a faster pipeline.

    Any number of views of any size, drawn by one pipeline of crop, colour jitter,
    grayscale, blur and flip, all but the crop optional: one decoding for all crops,
    and OpenCV or batches on the device.

    Args:
        cfg (Config): The config, changed in place.
        on_device (bool): Whether to augment batches on the model's device.

    Returns:
        bool: Whether the fast pipeline is used; False for other views.
    """
    if any(
        'data_preprocessor' in part for part in (cfg.model, cfg.model.get('ssl', {}))
    ):
        return False
    dataset = cfg.train_dataloader.dataset
    pipeline = dataset.get('pipeline') or []
    preprocessor = cfg.get('data_preprocessor') or {}
    kinds = [step.get('type') for step in pipeline]
    if kinds[:1] == ['LoadCrops'] and kinds[-1] == 'PackInputs':
        own = 'DeviceViews' if on_device else 'SelfSupDataPreprocessor'
        return preprocessor.get('type') == own  # a dumped config
    views = _views(pipeline)
    if views is None or not (
        preprocessor.get('type') == 'SelfSupDataPreprocessor'
        and {*preprocessor} <= {'type', 'mean', 'std', 'to_rgb'}
        and preprocessor.get('to_rgb') is True
    ):
        return False
    load = dict(
        type='LoadCrops',
        size=views.size,
        num_views=views.num_views,
        scale=views.scale,
        **{
            k: pipeline[0][k]
            for k in ('background', 'backend_args')
            if k in pipeline[0]
        },
    )
    augment: dict[str, Any] = dict(num_views=views.num_views)
    if views.recipe:  # the defaults are MoCo-v2's
        augment['views'] = [views.recipe]
    if on_device:
        cfg.data_preprocessor = dict(
            type='DeviceViews',
            mean=preprocessor.get('mean'),
            std=preprocessor.get('std'),
            **augment,
        )
        dataset.pipeline = [load, pipeline[-1]]
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='PrefetchHook')]
    else:
        cfg.data_preprocessor = dict(preprocessor, to_rgb=False)
        dataset.pipeline = [
            load,
            dict(type='PhotometricViews', **augment),
            pipeline[-1],
        ]
    return True


def _views(pipeline: list) -> _Views | None:
    """Views of a pipeline; None if the fast pipelines can't draw them."""
    if len(pipeline) != 3 or pipeline[2] != dict(type='PackInputs'):
        return None
    load, views, _ = pipeline
    if not (load.get('type') == 'LoadPhoto' or is_mmcvs_loader(load)):
        return None
    if views.get('type') != 'MultiView' or len(views.get('transforms', ())) != 1:
        return None
    num_views = views.get('num_views')
    num_views = num_views[0] if isinstance(num_views, list) else num_views
    crop, *steps = views.transforms[0]
    size, scale = crop.get('scale'), crop.get('crop_ratio_range', (0.08, 1.0))
    if {**_CROP, **crop} != {**_CROP, **_only(crop, 'scale', 'crop_ratio_range')}:
        return None
    if not isinstance(size, int) or crop.get('backend') != 'pillow':
        return None
    recipe = _recipe(steps)
    return None if recipe is None else _Views(num_views, size, scale, recipe)


def _only(step: Mapping, *keys: str) -> dict:
    return {key: step[key] for key in keys if key in step}


# Steps in their order; a flip may be anywhere, since the others are symmetric.
_ORDER = ('RandomApply', 'RandomGrayscale', 'GaussianBlur')


def _recipe(steps: list) -> dict | None:
    """Arguments of ViewRecipe that differ from its defaults, None if it can't."""
    recipe = dict(jitter_prob=0.0, gray_prob=0.0, blur_prob=0.0, flip_prob=0.0)
    kinds = [step.get('type') for step in steps]
    rest = [kind for kind in kinds if kind != 'RandomFlip']
    if rest != [kind for kind in _ORDER if kind in rest] or len({*kinds}) != len(kinds):
        return None
    for step in steps:
        part = _PARTS[step.type](step) if step.type in _PARTS else None
        if part is None:
            return None
        recipe.update(part)
    moco = dict(
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        jitter_prob=0.8,
        gray_prob=0.2,
        blur_prob=0.5,
        sigma=(0.1, 2.0),
        flip_prob=0.5,
    )
    return {key: value for key, value in recipe.items() if value != moco[key]}


def _jitter(step: Mapping) -> dict | None:
    inner = step.get('transforms', [])
    colours = 'brightness', 'contrast', 'saturation', 'hue'
    if {*step} != {'type', 'transforms', 'prob'} or len(inner) != 1:
        return None
    jitter = dict(inner[0])
    if jitter.pop('type', None) != 'ColorJitter' or not {*jitter} <= {*colours}:
        return None
    values = {colour: jitter.get(colour, 0.0) for colour in colours}
    if not all(isinstance(value, (int, float)) for value in values.values()):
        return None  # ranges that are not symmetric
    return dict(values, jitter_prob=step['prob'])


def _gray(step: Mapping) -> dict | None:
    same = dict(step, channel_weights=tuple(step.get('channel_weights', ())))
    probability = same.pop('prob', 0.5)
    known = dict(type='RandomGrayscale', keep_channels=True, channel_weights=_WEIGHTS)
    return dict(gray_prob=probability) if same == known else None


def _blur(step: Mapping) -> dict | None:
    if {*step} != {'type', 'magnitude_range', 'magnitude_std', 'prob'}:
        return None
    if step['magnitude_std'] != 'inf':  # not uniform
        return None
    return dict(blur_prob=step['prob'], sigma=tuple(step['magnitude_range']))


def _flip(step: Mapping) -> dict | None:
    if not {*step} <= {'type', 'prob', 'direction'}:
        return None
    if step.get('direction', 'horizontal') != 'horizontal':
        return None
    probability = step.get('prob')
    return dict(flip_prob=probability) if isinstance(probability, float) else None


_PARTS = dict(
    RandomApply=_jitter, RandomGrayscale=_gray, GaussianBlur=_blur, RandomFlip=_flip
)

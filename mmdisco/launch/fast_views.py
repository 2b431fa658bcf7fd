"""A pipeline of views replaced by a faster one with the same distribution."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.config import Config

from mmdisco.datasets.transforms.load_photo import is_mmcvs_loader

_WEIGHTS = (0.114, 0.587, 0.2989)  # of B, G and R in grayscale
_CROP = dict(type='RandomResizedCrop', interpolation='bilinear', backend='pillow')


class _View(NamedTuple):
    """A crop, colour, grey, blur, solarisation and flip."""

    size: int
    scale: tuple[float, float]
    interpolation: str
    recipe: dict[str, Any]  # arguments of ViewRecipe


class _Slow(NamedTuple):
    """A pipeline that makes views, and what it makes."""

    owner: dict  # with the pipeline as a value
    key: str
    views: list[_View]


def use_fast_views(cfg: Config, on_device: bool) -> bool:
    """Replace views of MoCo-v2's kind by a faster pipeline.

    Any number of views of any size, drawn by pipelines of crop, colour jitter,
    grayscale, blur, solarisation and flip, all but the crop optional, as in MoCo,
    SimCLR, BYOL, SwAV, DINO and BINGO: one decoding for all crops, and OpenCV or
    batches on the device.

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
    pipelines = _pipelines(cfg.train_dataloader.dataset)
    preprocessor = cfg.get('data_preprocessor') or {}
    if not pipelines:
        return False
    if all(_is_fast(owner[key]) for owner, key in pipelines):  # a dumped config
        own = 'DeviceViews' if on_device else 'SelfSupDataPreprocessor'
        return preprocessor.get('type') == own
    found = [_slow(owner, key) for owner, key in pipelines]
    slow = [one for one in found if one is not None]
    if len(slow) < len(found) or not (
        preprocessor.get('type') == 'SelfSupDataPreprocessor'
        and {*preprocessor} <= {'type', 'mean', 'std', 'to_rgb'}
        and preprocessor.get('to_rgb') is True
    ):
        return False
    for one in slow:
        load, pack = one.owner[one.key][0], one.owner[one.key][-1]
        kept = {k: load[k] for k in ('background', 'backend_args') if k in load}
        if not on_device:
            kept['channels_last'] = True
        augment = [] if on_device else [_augment('PhotometricViews', one.views)]
        one.owner[one.key] = [dict(_load(one.views), **kept), *augment, pack]
    if on_device:
        cfg.data_preprocessor = dict(
            _augment('DeviceViews', [view for one in slow for view in one.views]),
            mean=preprocessor.get('mean'),
            std=preprocessor.get('std'),
        )
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='PrefetchHook')]
    else:
        cfg.data_preprocessor = dict(preprocessor, to_rgb=False)
    return True


def _pipelines(dataset: dict) -> list[tuple[dict, str]]:
    """Pipelines of a dataset, each as a dict and a key, in the order of views."""
    if dataset.get('type') == 'Bags':
        anchor = (dataset['dataset'], 'pipeline')
        own = dataset.get('member_pipeline') is not None
        found = [anchor, (dataset, 'member_pipeline') if own else anchor]
    else:
        found = [(dataset, 'pipeline')]
    return [(owner, key) for owner, key in found if len(owner.get(key) or ()) > 1]


def _is_fast(pipeline: Sequence[Mapping]) -> bool:
    kinds = pipeline[0].get('type'), pipeline[-1].get('type')
    return kinds == ('LoadCrops', 'PackInputs')


def _load(views: Sequence[_View]) -> dict:
    """A step that cuts the crops of views."""
    load = dict(
        type='LoadCrops',
        size=_shared([view.size for view in views]),
        num_views=len(views),
        scale=_shared([view.scale for view in views]),
    )
    interpolation = _shared([view.interpolation for view in views])
    if interpolation != 'bilinear':
        load['interpolation'] = interpolation
    return load


def _augment(kind: str, views: Sequence[_View]) -> dict:
    """A transform or preprocessor that draws colours, blur and flips of views."""
    recipes = [view.recipe for view in views]
    if any(recipes):  # the defaults are MoCo-v2's
        alike = all(recipe == recipes[0] for recipe in recipes)
        return dict(
            type=kind, num_views=len(views), views=recipes[:1] if alike else recipes
        )
    return dict(type=kind, num_views=len(views))


def _shared(values: list) -> Any:
    """The value of all views if it is the same, else one for each."""
    return values[0] if all(value == values[0] for value in values) else values


def _slow(owner: dict, key: str) -> _Slow | None:
    """Views of a pipeline; None if the fast pipelines can't draw them."""
    load, *steps, pack = owner[key]
    if not steps or pack != dict(type='PackInputs'):
        return None
    if not (load.get('type') == 'LoadPhoto' or is_mmcvs_loader(load)):
        return None
    if [step.get('type') for step in steps] == ['MultiView']:
        if {*steps[0]} != {'type', 'transforms', 'num_views'}:
            return None
        groups, counts = steps[0]['transforms'], steps[0]['num_views']
        counts = [counts] if isinstance(counts, int) else counts
    elif key == 'member_pipeline':  # one view, which Bags takes as a list of one
        groups, counts = [steps], [1]
    else:
        return None
    kinds = [_view(group) for group in groups]
    if len(groups) != len(counts) or None in kinds:
        return None
    views = [kind for kind, num in zip(kinds, counts) if kind for _ in range(num)]
    return _Slow(owner, key, views) if views else None


def _view(group: Sequence[Mapping]) -> _View | None:
    """A view of these transforms; None if the fast pipelines can't draw it."""
    crop, *steps = group
    size, scale = crop.get('scale'), crop.get('crop_ratio_range', (0.08, 1.0))
    own = _only(crop, 'scale', 'crop_ratio_range', 'interpolation')
    interpolation = crop.get('interpolation', 'bilinear')
    if {**_CROP, **crop} != {**_CROP, **own} or crop.get('backend') != 'pillow':
        return None
    if not isinstance(size, int) or interpolation not in ('bilinear', 'bicubic'):
        return None
    recipe = _recipe(steps)
    return None if recipe is None else _View(size, scale, interpolation, recipe)


def _only(step: Mapping, *keys: str) -> dict:
    return {key: step[key] for key in keys if key in step}


# Steps in their order; a flip may be anywhere, since the others are symmetric.
_ORDER = ('RandomApply', 'RandomGrayscale', 'GaussianBlur', 'Solarize')


def _recipe(steps: Sequence) -> dict | None:
    """Arguments of ViewRecipe that differ from its defaults, None if it can't."""
    recipe = dict(jitter_prob=0.0, gray_prob=0.0, blur_prob=0.0, flip_prob=0.0)
    kinds = [step.get('type') for step in steps]
    rest = [kind for kind in kinds if kind != 'RandomFlip']
    if rest != [kind for kind in _ORDER if kind in rest] or len({*kinds}) != len(kinds):
        return None
    for step in steps:
        kind = step['type']
        part = _PARTS[kind](step) if kind in _PARTS else None
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
        solarize_prob=0.0,
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


def _solarize(step: Mapping) -> dict | None:
    if {*step} != {'type', 'thr', 'prob'} or step['thr'] != 128:
        return None
    return dict(solarize_prob=step['prob'])


def _flip(step: Mapping) -> dict | None:
    if not {*step} <= {'type', 'prob', 'direction'}:
        return None
    if step.get('direction', 'horizontal') != 'horizontal':
        return None
    probability = step.get('prob')
    return dict(flip_prob=probability) if isinstance(probability, float) else None


_PARTS = dict(
    RandomApply=_jitter,
    RandomGrayscale=_gray,
    GaussianBlur=_blur,
    Solarize=_solarize,
    RandomFlip=_flip,
)

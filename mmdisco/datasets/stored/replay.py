"""Random views of an image that a seed alone determines."""

import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine import fileio
from mmpretrain.registry import TRANSFORMS
from PIL import features
from torch import Tensor

from mmdisco.errors import InputError
from ..decode import VERSION
from ..transforms.load_crops import LoadCrops, Picture, to_pixels, to_planes
from ..transforms.photometric_views import augment
from ..transforms.view_recipe import build_recipes

# Packages that determine the pixels of a view drawn by LoadCrops, and those of a
# view drawn by other transforms.
_CROPS = ('torch', 'torchvision', 'opencv', 'pillow')
_STEPS = (*_CROPS, 'mmcv', 'mmpretrain')
_NAMES = dict(
    opencv=('opencv-python-headless', 'opencv-python', 'opencv-contrib-python'),
    mmcv=('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    mmpretrain=('onedl-mmpretrain', 'mmpretrain'),
)


def view_seed(seed: int, name: str, kind: int, view: int) -> int:
    """Seed of a view: a function of the image's name, not of its index.

    Further views and images thus leave those before them as they are.

    Args:
        seed (int): Seed of all views.
        name (str): Path of the image below its folder, with '/'.
        kind (int): Index of the kind of view.
        view (int): Number of the view, from 0.

    Returns:
        int: 64 bits.
    """
    text = f'{seed} {kind} {view} {name}'.encode('utf-8', 'surrogateescape')
    return int.from_bytes(blake2b(text, digest_size=8).digest(), 'little')


class _Kind(Protocol):
    """A kind of view."""

    source: str  # kinds with the same share the decoded image

    def open(self, path: str) -> Any: ...

    def draw(self, image: Any, seed: int) -> Tensor: ...


class _CropKind:
    """A view of :class:`LoadCrops` and :class:`PhotometricViews`."""

    def __init__(self, load: dict, views: Sequence[dict]) -> None:
        self.load: LoadCrops = TRANSFORMS.build(dict(load, num_views=1))
        self.recipe = build_recipes(views, 1)[0]
        self.source = repr((self.load.background, self.load.backend_args))

    def open(self, path: str) -> Picture:
        """Read an image."""
        content = fileio.get(path, backend_args=self.load.backend_args)
        return Picture(content, self.load.background)

    def draw(self, picture: Picture, seed: int) -> Tensor:
        """Draw a view, uint8 [3, H, W], from a decoding of its own size."""
        generator = torch.Generator().manual_seed(seed)
        box = self.load.draw(picture.size, 0, generator)
        view = self.recipe.draw_one(generator)
        (crop,) = self.load.cut(picture, [box], [0])  # [3, H, W]
        return to_planes(augment(to_pixels(crop), view))


class _StepKind:
    """A view of a loader and any transforms of one image."""

    def __init__(self, load: dict, steps: Sequence[dict]) -> None:
        self.load = TRANSFORMS.build(load)
        self.steps = Compose([TRANSFORMS.build(step) for step in steps])
        self.source = repr(load)

    def open(self, path: str) -> dict:
        """Read an image."""
        return self.load(dict(img_path=path))

    def draw(self, results: dict, seed: int) -> Tensor:
        """Draw a view, uint8 [3, H, W]."""
        random.seed(seed)
        np.random.seed(np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32))
        torch.default_generator.manual_seed(seed)
        image = self.steps(copy.deepcopy(results))['img']
        if not (isinstance(image, np.ndarray) and image.dtype == np.uint8):
            kind = getattr(image, 'dtype', type(image).__name__)
            raise InputError(
                f'a view must be an image of uint8 to be stored, got {kind}'
            )
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


class ViewReplay:
    """Draws views of images by their seeds.

    A view depends on image and seed alone: not on other views, their order, the
    process or its random generators, which keep their states.

    Args:
        pipelines (Sequence[Sequence[dict]]): Transforms of one view, for each
            kind of view: LoadCrops with PhotometricViews or without, or a loader
            and transforms of one image.

    Raises:
        InputError: When called, if a view is not an image of uint8.
    """

    def __init__(self, pipelines: Sequence[Sequence[dict]]) -> None:
        self.kinds: list[_Kind] = [_build(pipeline) for pipeline in pipelines]

    def views(self, path: str, wanted: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Draw views of an image.

        Args:
            path (str): The image.
            wanted (Sequence[tuple[int, int]]): Kind and seed of each view.

        Returns:
            list[Tensor]: uint8 [3, H, W] each.

        Raises:
            Exception: Those of the loader, if the image can't be read.
        """
        opened: dict[str, Any] = {}
        views = []
        with _same_generators():
            for number, seed in wanted:
                kind = self.kinds[number]
                if kind.source not in opened:
                    opened[kind.source] = kind.open(path)
                views.append(kind.draw(opened[kind.source], seed))
        return views


def _build(pipeline: Sequence[dict]) -> _Kind:
    load, *steps = pipeline
    if load['type'] != 'LoadCrops':
        return _StepKind(load, steps)
    if not steps:
        none = {f'{p}_prob': 0.0 for p in ('jitter', 'gray', 'blur', 'flip')}
        return _CropKind(load, [none])
    return _CropKind(load, steps[0].get('views', [{}]))


@contextmanager
def _same_generators() -> Iterator[None]:
    """Restore the generators of Python, NumPy and torch."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def versions_of(pipelines: Sequence[Sequence[dict]]) -> dict[str, str]:
    """Versions of what determines the pixels of views.

    Args:
        pipelines (Sequence[Sequence[dict]]): As of :class:`ViewReplay`.

    Returns:
        dict[str, str]: Version by name.
    """
    crops = all(pipeline[0]['type'] == 'LoadCrops' for pipeline in pipelines)
    found = {name: _version(name) for name in (_CROPS if crops else _STEPS)}
    library = features.version('libjpeg_turbo')
    found['libjpeg of pillow'] = library or str(features.version('jpg'))
    found['decoding'] = str(VERSION)
    return found


def _version(package: str) -> str:
    for name in _NAMES.get(package, (package,)):
        try:
            return version(name).split('+')[0]  # without the kind of build
        except ImportError:
            continue
    return 'unknown'

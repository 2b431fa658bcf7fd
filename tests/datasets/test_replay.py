"""A seed alone determines a view."""

import copy
import random
from hashlib import blake2b

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import DataLoader, Dataset

from mmdisco.datasets.stored import ViewReplay, versions_of, view_seed
from mmdisco.errors import InputError
from tests.mocov2_views import photograph

FAST = [
    dict(type='LoadCrops', size=48, num_views=1, scale=[0.05, 1.0]),
    dict(type='PhotometricViews', num_views=1),
]
SMALL = [
    dict(type='LoadCrops', size=16, num_views=1, scale=[0.05, 0.3]),
    dict(type='PhotometricViews', num_views=1, views=[dict(solarize_prob=0.5)]),
]
STEPS = [
    dict(type='LoadPhoto'),
    dict(type='RandomResizedCrop', scale=48, backend='pillow'),
    dict(
        type='RandomApply',
        transforms=[dict(type='ColorJitter', brightness=0.4, hue=0.1)],
        prob=0.8,
    ),
    dict(
        type='GaussianBlur', magnitude_range=[0.1, 2.0], magnitude_std='inf', prob=0.5
    ),
    dict(type='RandomFlip', prob=0.5),
]
PIPELINES = [FAST, SMALL, STEPS]


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    found = []
    for name, size in (('a.jpg', (640, 480)), ('b.png', (80, 60)), ('c.jpg', (400, 9))):
        found.append(str(folder / name))
        photograph(512).resize(size).save(found[-1])
    # decoded by PIL, since bytes follow the end of the image
    content = (folder / 'a.jpg').read_bytes() + b'\0\0'
    (folder / 'd.jpg').write_bytes(content)
    return [*found, str(folder / 'd.jpg')]


def wanted_of(path, num=6):
    return [
        (kind, view_seed(7, path[-5:], kind, view))
        for view in range(num)
        for kind in range(len(PIPELINES))
    ]


class Views(Dataset):
    def __init__(self, paths):
        self.paths, self.replay = paths, ViewReplay(PIPELINES)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        random.seed(index)
        wanted = wanted_of(self.paths[index])
        order = np.random.permutation(len(wanted))
        views = self.replay.views(self.paths[index], [wanted[i] for i in order])
        return {int(i): view for i, view in zip(order, views)}


def test_a_view_does_not_depend_on_others_their_order_or_the_process(paths):
    replay = ViewReplay(PIPELINES)
    for index, views in enumerate(
        DataLoader(Views(paths), batch_size=None, num_workers=2)
    ):
        torch.manual_seed(index)
        for i, seed in enumerate(wanted_of(paths[index])):
            (alone,) = replay.views(paths[index], [seed])
            assert torch.equal(alone, views[i]), (paths[index], i)


def test_seeds_give_different_views_of_the_right_kind(paths):
    views = ViewReplay(PIPELINES).views(paths[0], wanted_of(paths[0]))
    assert {tuple(v.shape) for v in views[0::3]} == {(3, 48, 48)}
    assert {tuple(v.shape) for v in views[1::3]} == {(3, 16, 16)}
    assert len({v.numpy().tobytes() for v in views}) == len(views)
    assert all(v.dtype == torch.uint8 for v in views)


def test_views_of_transforms_are_mmpretrains(paths):
    """The transforms themselves, with all generators seeded by hand."""
    load, steps = TRANSFORMS.build(STEPS[0]), Compose(STEPS[1:])
    replay = ViewReplay([STEPS])
    for path in paths:
        results = load(dict(img_path=path))
        for seed in (0, 5, 2**40 + 3):
            random.seed(seed)
            np.random.seed([seed % 2**32, seed // 2**32])
            torch.manual_seed(seed)
            expected = steps(copy.deepcopy(results))['img']
            (view,) = replay.views(path, [(0, seed)])
            assert np.array_equal(view.permute(1, 2, 0).numpy(), expected)


def test_the_generators_go_on_as_if_nothing_was_drawn(paths):
    def numbers():
        return random.random(), np.random.rand(), torch.rand(1).item()

    replay, results = ViewReplay(PIPELINES), []
    for draw in (False, True):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        if draw:
            replay.views(paths[0], wanted_of(paths[0]))
        results.append(numbers())
    assert results[0] == results[1]


def test_the_seed_is_a_digest_of_its_parts():
    """Fixed for ever: stores depend on it."""
    digest = blake2b(b'3 1 12 dogs/\xc3\xa9.jpg', digest_size=8).digest()
    assert view_seed(3, 'dogs/é.jpg', 1, 12) == sum(
        byte << 8 * i for i, byte in enumerate(digest)
    )
    assert view_seed(0, 'a.jpg', 0, 0) == 8337967600873506253
    names = [str(i) for i in range(50)]
    seeds = {
        view_seed(s, n, k, v)
        for s in (0, 1)
        for n in names
        for k in (0, 1)
        for v in range(20)
    }
    assert len(seeds) == 2 * 50 * 2 * 20


def test_views_that_are_not_images_are_refused(paths):
    steps = [*STEPS[:2], dict(type='NumpyToPIL')]
    with pytest.raises(InputError, match='image of uint8'):
        ViewReplay([steps]).views(paths[0], [(0, 1)])


def test_versions_name_what_determines_the_pixels():
    crops, steps = versions_of([FAST]), versions_of([FAST, STEPS])
    assert crops.keys() < steps.keys()
    assert steps.keys() - crops.keys() == {'mmcv', 'mmpretrain'}
    assert 'unknown' not in {*steps.values()}
    assert crops['torch'] == torch.__version__.split('+')[0]

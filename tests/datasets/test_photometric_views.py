"""Augmentation on the CPU against PIL and torchvision."""

import numpy as np
import pytest
import torch
from mmpretrain.registry import TRANSFORMS
from PIL import ImageFilter

from mmdisco.datasets.transforms import ViewRecipe, augment, pil_gaussian_kernel
from mmdisco.datasets.transforms import photometric_views as uint8_ops
from mmdisco.datasets.transforms.photometric_views import PARTS
from tests import mocov2_views as released

NAMES = ('brightness', 'contrast', 'saturation', 'hue')


def difference(actual, reference):
    return np.abs(actual.astype(int) - np.asarray(reference, int))


@pytest.mark.parametrize('part', range(4), ids=NAMES)
@pytest.mark.parametrize('share', np.linspace(-1, 1, 7))
def test_colours_are_pils(part, share):
    photo = released.photograph(96)
    factor = 0.1 * share if part == 3 else 1 + 0.4 * share
    off = difference(
        PARTS[part](np.asarray(photo), factor), released.PARTS[part](photo, factor)
    )
    if part < 3:
        assert off.max() <= 1
    else:
        # PIL rounds the hue down, OpenCV to the nearest of 256 steps: they
        # differ by half a step, and a step is up to six levels of a channel
        assert off.mean() < 0.75 and off.max() <= 10
        assert (off <= 2).mean() > 0.93
    if abs(share) > 0.5:
        assert (
            difference(np.asarray(photo), released.PARTS[part](photo, factor)).mean()
            > 2
        )


def test_gray_solarisation_and_mirror_are_pils():
    photo = released.photograph(96)
    pixels = np.asarray(photo)
    for actual, reference in (
        (uint8_ops.to_gray, released.F.rgb_to_grayscale),
        (uint8_ops.solarize, released.F.solarize),
        (uint8_ops.mirror, released.F.hflip),
    ):
        more = dict(to_gray=(3,), solarize=(128,)).get(actual.__name__, ())
        assert difference(actual(pixels), reference(photo, *more)).max() <= 1


@pytest.mark.parametrize('sigma', (0.1, 0.3, 0.5, 0.8, 1.2, 1.7, 2.0))
def test_blur_is_pils(sigma):
    photo = released.photograph(96)
    kernel = pil_gaussian_kernel(np.array([sigma]), sigma)[0]
    off = difference(
        uint8_ops.gaussian_blur(np.asarray(photo), kernel),
        photo.filter(ImageFilter.GaussianBlur(sigma)),
    )
    # PIL repeats the border before each of its three passes
    assert off[6:-6, 6:-6].max() <= 3 and off.mean() < 0.6


def one_by_one(photo, params):
    return [augment(np.asarray(photo), params[i]) for i in range(len(params.jitter))]


def test_a_view_has_the_drawn_parameters():
    photo = released.photograph(96)
    params = ViewRecipe(solarize_prob=0.2).draw(60, torch.Generator().manual_seed(0))
    views = one_by_one(photo, params)
    for i in range(60):
        off = difference(views[i], released.with_params(photo, params, i))
        # solarisation separates values close to 128
        assert np.median(off) <= 2 and np.quantile(off, 0.9) <= 4


def test_views_are_torchvisions_in_distribution():
    num, photo = 4000, released.photograph(32)
    np.random.seed(0)
    torch.manual_seed(0)
    reference = released.statistics([released.RELEASED(photo) for _ in range(num)])
    views = TRANSFORMS.build(dict(type='PhotometricViews', num_views=num))
    crop = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
    actual = views(dict(img=[crop] * num))['img']
    assert actual[0].dtype == np.uint8 and actual[0].shape == (32, 32, 3)
    params = ViewRecipe().draw(500, torch.Generator().manual_seed(0))
    rounded = released.rounding(one_by_one(photo, params), params, photo)
    assert rounded.max() < 1.5  # levels of 256
    released.assert_equal_in_distribution(
        released.statistics(actual), reference, rounded
    )


def test_as_many_crops_as_views():
    views = TRANSFORMS.build(dict(type='PhotometricViews', num_views=2))
    with pytest.raises(ValueError, match='3 crops .* num_views=2'):
        views(dict(img=[torch.zeros(3, 8, 8).byte()] * 3))

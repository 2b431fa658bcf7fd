"""Augmentation on the CPU against PIL and torchvision."""

import colorsys

import numpy as np
import pytest
import torch
from mmpretrain.registry import TRANSFORMS
from PIL import ImageFilter

from mmdisco.datasets.transforms import ViewRecipe, augment, pil_gaussian_kernel
from mmdisco.datasets.transforms import photometric_views as uint8_ops
from mmdisco.datasets.transforms.photometric_views import PARTS, box_kernel
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


@pytest.mark.parametrize('turns', (-0.5, -0.1, -0.03, 0.02, 0.1, 0.5))
def test_hue_keeps_largest_and_smallest_channel(turns):
    """And lies where colorsys says, up to the 256 steps of a turn."""
    colours = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    turned = uint8_ops.adjust_hue(colours, turns)
    for extreme in (np.max, np.min):
        assert difference(extreme(turned, 2), extreme(colours, 2)).max() <= 2
    step = int(turns * 255) / 256
    for before, after in zip(colours.reshape(-1, 3), turned.reshape(-1, 3)):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255))
        rgb = colorsys.hsv_to_rgb((hue + step) % 1, saturation, value)
        spread = int(before.max()) - int(before.min())
        off = np.abs(after - 255 * np.array(rgb))
        assert off.max() <= 1.5 + 3 * spread / 256


@pytest.mark.parametrize('sigma', np.linspace(0.1, 3, 30))
def test_the_kernel_of_one_view_is_that_of_a_batch_without_its_ends(sigma):
    short = box_kernel(sigma)
    full = pil_gaussian_kernel(np.array([sigma]), sigma)[0]
    ends = (len(full) - len(short)) // 2
    assert full[:ends].sum() < 3 / 1024 and short.sum() == pytest.approx(1)
    np.testing.assert_allclose(short, full[ends : len(full) - ends], atol=3e-3)
    np.testing.assert_array_equal(short, short[::-1])


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
    assert actual[0].dtype == torch.uint8 and actual[0].shape == (3, 32, 32)
    assert actual[0].is_contiguous()
    actual = [view.permute(1, 2, 0).numpy() for view in actual]
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

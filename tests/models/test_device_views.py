import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from PIL import ImageFilter
from scipy import ndimage
from torchvision.transforms import functional as F

from mmdisco.datasets.transforms import ViewRecipe, pil_gaussian_kernel
from mmdisco.models.preprocessors import augment_batch, device_views
from tests import mocov2_views as released

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
NOTHING = dict(jitter_prob=0, gray_prob=0, blur_prob=0, flip_prob=0)


def build(**options):
    return MODELS.build(dict(type='DeviceViews', **options))


def crops(num=12, size=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        0, 256, (num, 3, size, size), dtype=torch.uint8, generator=generator
    )


def test_colours_are_torchvisions_image_by_image():
    images = crops(24).float() / 255
    images[0] = 0.5  # no hue
    images[1, :2] = 1  # ties of the largest channel
    factors = ViewRecipe().draw(24).factors
    for part, reference in enumerate(released.PARTS):
        actual = augment_batch.JITTER_PARTS[part](images, factors[:, part])
        expected = torch.stack(
            [
                reference(image, factor.item())
                for image, factor in zip(images, factors[:, part])
            ]
        )
        # torchvision's weight of red is .2989
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)
        assert (actual - images).abs().max() > 0.05
    for turns in (-0.5, -0.31, 0, 0.2, 0.5):
        actual = augment_batch.adjust_hue(images, torch.full((24,), turns))
        torch.testing.assert_close(
            actual, F.adjust_hue(images, turns), rtol=0, atol=1e-5
        )


def in_order(images, params):
    """torchvision, for one image and one part at a time."""
    out = images.clone()
    for i in range(len(out)):
        for part in params.order[i].tolist() if params.jitter[i] else ():
            out[i] = released.PARTS[part](out[i], params.factors[i, part].item())
        if params.gray[i]:
            out[i] = F.rgb_to_grayscale(out[i], 3)
        if params.blur[i]:
            kernel = torch.from_numpy(
                pil_gaussian_kernel(params.sigma[i : i + 1].numpy(), 2.0)
            )[0]
            reach = len(kernel) // 2
            padded = F.pad(out[i], [reach] * 4, padding_mode='edge')
            out[i] = torch.nn.functional.conv2d(
                padded[:, None], torch.outer(kernel, kernel)[None, None]
            )[:, 0]
        if params.solarize[i]:
            out[i] = F.solarize(out[i], 128 / 255)
        if params.flip[i]:
            out[i] = F.hflip(out[i])
    return out


def test_each_image_has_its_own_parameters_and_order():
    images = crops(48).float() / 255
    params = ViewRecipe().draw(48, torch.Generator().manual_seed(0))
    assert len(params.order.unique(dim=0)) > 15
    actual = augment_batch.augment_(images.clone(), params)
    torch.testing.assert_close(actual, in_order(images, params), rtol=0, atol=3e-4)
    params.order = params.order.flip(1)
    other = (
        (augment_batch.augment_(images.clone(), params) - actual).abs().amax((1, 2, 3))
    )
    assert (other[params.jitter] > 1e-3).float().mean() > 0.8


def test_solarised_too():
    images = crops(8).float() / 255
    params = ViewRecipe(solarize_prob=0.5, jitter_prob=0).draw(8)
    assert params.solarize.any()
    torch.testing.assert_close(
        augment_batch.augment_(images.clone(), params),
        in_order(images, params),
        rtol=0,
        atol=1e-4,
    )


@pytest.mark.parametrize('sigma', (0.3, 0.8, 1.4, 2.0))
def test_blur_is_pils_and_nearly_gaussian(sigma):
    photo = released.photograph(96)
    image = F.to_tensor(photo)[None]
    kernel = torch.from_numpy(pil_gaussian_kernel(np.array([sigma]), 2.0))
    actual = augment_batch.gaussian_blur(image, kernel)[0].permute(1, 2, 0) * 255
    pils = np.asarray(photo.filter(ImageFilter.GaussianBlur(sigma)), float)
    off = np.abs(actual.numpy() - pils)
    assert off[6:-6, 6:-6].max() <= 3 and off.mean() < 0.6
    if sigma > 0.7:  # below, a Gaussian sampled at pixels is too narrow
        exact = ndimage.gaussian_filter(
            np.asarray(photo, float), (sigma, sigma, 0), mode='nearest', truncate=6
        )
        assert np.abs(actual.numpy() - exact).mean() < 0.35


def test_views_are_torchvisions_in_distribution():
    num, photo = 4000, released.photograph(32)
    params = ViewRecipe().draw(500, torch.Generator().manual_seed(0))
    same = augment_batch.augment_(F.to_tensor(photo).repeat(500, 1, 1, 1), params)
    rounded = released.rounding(same.permute(0, 2, 3, 1).numpy() * 255, params, photo)
    assert rounded.max() < 2.5  # levels of 256
    np.random.seed(0)
    torch.manual_seed(0)
    reference = released.statistics([released.RELEASED(photo) for _ in range(num)])
    crop = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
    out = build()(dict(inputs=[crop.repeat(num // 2, 1, 1, 1)] * 2), training=True)
    actual = released.statistics(torch.cat(out['inputs']).permute(0, 2, 3, 1).numpy())
    released.assert_equal_in_distribution(actual, reference, rounded)


def test_evaluation_only_normalises():
    reference = MODELS.build(dict(type='SelfSupDataPreprocessor', **NORM))
    views = [crops(seed=1), crops(seed=2)]
    expected = reference(dict(inputs=views, data_samples=None))['inputs']
    for actual in (
        build(**NORM)(dict(inputs=views)),
        build(views=[NOTHING], **NORM)(dict(inputs=views), training=True),
    ):
        for a, b in zip(actual['inputs'], expected):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        assert actual['data_samples'] is None
    one = build(**NORM)(dict(inputs=views[0]))['inputs']
    torch.testing.assert_close(one, expected[0], rtol=1e-5, atol=1e-5)


def test_views_have_recipes_of_their_own():
    views = build(views=[dict(NOTHING, flip_prob=1), dict(NOTHING, solarize_prob=1)])
    crop = crops()
    first, second = views(dict(inputs=[crop] * 2), training=True)['inputs']
    torch.testing.assert_close(first, crop.float().flip(-1))
    torch.testing.assert_close(second, F.solarize(crop, 128).float(), atol=1e-4, rtol=0)


def test_it_follows_the_seed_but_not_on_every_rank(monkeypatch):
    def run(rank, autocast=False):
        monkeypatch.setattr(device_views, 'get_rank', lambda: rank)
        torch.manual_seed(5)
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            return build()(dict(inputs=[crops()] * 2), training=True)['inputs']

    first, second = run(0)
    assert not torch.equal(first, second)
    assert torch.equal(first, run(0)[0])
    assert not torch.equal(first, run(1)[0])
    in_bf16 = run(0, autocast=True)[0]
    assert in_bf16.dtype == torch.float32 and torch.equal(in_bf16, first)


def test_bad_recipes_and_numbers_of_crops_and_no_state():
    with pytest.raises(ValueError, match='unknown colour'):
        build(views=[dict(colour=1)])
    with pytest.raises(ValueError, match='1 crops .* num_views=2'):
        build()(dict(inputs=[crops()]), training=True)
    assert not build(**NORM).state_dict()


@pytest.mark.gpu
def test_on_cuda_the_same_views_and_the_host_never_waits():
    views, batch = build(**NORM), dict(inputs=[crops().pin_memory()] * 2)
    torch.manual_seed(0)
    expected = views(batch, training=True)['inputs']
    views.cuda()(batch, training=True)
    torch.manual_seed(0)
    torch.cuda.set_sync_debug_mode('error')
    try:
        actual = views(batch, training=True)['inputs']
    finally:
        torch.cuda.set_sync_debug_mode('default')
    for a, b in zip(actual, expected):
        torch.testing.assert_close(a.cpu(), b, rtol=0, atol=1e-3)

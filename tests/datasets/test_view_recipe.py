"""Augmentation parameters against torchvision."""

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import ColorJitter

from mmdisco.datasets.transforms import (
    ViewParams,
    ViewRecipe,
    build_recipes,
    pil_gaussian_kernel,
)

N = 4000


@pytest.fixture(scope='module')
def params():
    return ViewRecipe().draw(N, torch.Generator().manual_seed(0))


@pytest.fixture(scope='module')
def released():
    """Order [N, 4] and factors [N, 4] drawn by torchvision."""
    torch.manual_seed(1)
    jitter = ColorJitter(0.4, 0.4, 0.4, 0.1)
    drawn = [
        jitter.get_params(
            jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue
        )
        for _ in range(N)
    ]
    return (
        np.array([d[0].tolist() for d in drawn]),
        np.array([d[1:] for d in drawn], float),
    )


@pytest.mark.parametrize('part', range(4))
def test_factors_are_torchvisions(params, released, part):
    actual, reference = params.factors[:, part].numpy(), released[1][:, part]
    assert stats.ks_2samp(actual, reference).pvalue > 0.001
    half = 0.1 if part == 3 else 0.4
    assert np.abs(actual - (part < 3)).max() == pytest.approx(half, rel=0.01)


def test_all_24_orders_are_as_frequent(params, released):
    for order in (params.order.numpy(), released[0]):
        counts = np.unique(order @ [64, 16, 4, 1], return_counts=True)[1]
        assert len(counts) == 24
        assert stats.chisquare(counts).pvalue > 0.001


def test_sigma_is_uniform(params):
    assert stats.kstest(params.sigma.numpy(), 'uniform', (0.1, 1.9)).pvalue > 0.001


def test_probabilities_and_independence(params):
    events = dict(jitter=0.8, gray=0.2, blur=0.5, solarize=0, flip=0.5)
    for name, prob in events.items():
        error = 4 * np.sqrt(prob * (1 - prob) / N)
        share = getattr(params, name).float().mean().item()
        assert share == pytest.approx(prob, abs=error + 1e-9)
    drawn = torch.cat(
        [
            torch.stack([getattr(params, n) for n in events if n != 'solarize']),
            params.factors.T,
            params.sigma[None],
            params.order.T[:3],
        ]
    )
    correlation = torch.corrcoef(drawn.float()).numpy()
    # places of one permutation exclude each other: -1/3
    correlation[-3:, -3:] = 0
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(N)


def test_it_follows_the_seed():
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append(ViewRecipe().draw(8).factors)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_one_view_equals_a_batch_of_one():
    recipe = ViewRecipe(solarize_prob=0.3)
    seeds = range(50)
    views = [recipe.draw_one(torch.Generator().manual_seed(seed)) for seed in seeds]
    together = ViewParams.stack(views)
    for seed in seeds:
        alone = recipe.draw(1, torch.Generator().manual_seed(seed))
        for name, value in vars(alone).items():
            stacked = getattr(together, name)[seed]
            torch.testing.assert_close(stacked, value[0], rtol=1e-6, atol=1e-7)
        assert together[seed].order == list(views[seed].order)
    assert len({view.sigma for view in views}) == len(views)


def test_ranges_and_recipes_of_a_view():
    wide = ViewRecipe(brightness=1.5, solarize_prob=1, hue=0).draw(N)
    assert wide.factors[:, 0].min() < 0.01  # not 1 - 1.5: clamped at 0
    assert wide.factors[:, 0].max() == pytest.approx(2.5, abs=0.01)
    assert wide.solarize.all() and not wide.factors[:, 3].any()
    byol = build_recipes([dict(blur_prob=1.0), dict(blur_prob=0.1)], 2)
    assert [recipe.blur_prob for recipe in byol] == [1.0, 0.1]
    assert len(build_recipes([dict()], 8)) == 8
    assert byol[0].draw(3).blur.all()


@pytest.mark.parametrize(
    'views, message',
    [
        ([dict(hue=0.6)], 'hue=0.6'),
        ([dict(jitter_prob=-0.1)], 'jitter_prob'),
        ([dict(sigma=(0, 2))], 'sigma'),
        ([dict(gamma=1)], 'unknown gamma'),
        ([dict(), dict(), dict()], '3 recipes for 2 views'),
    ],
)
def test_invalid_recipes_are_errors(views, message):
    with pytest.raises(ValueError, match=message):
        build_recipes(views, 2)


def test_kernels_have_the_variance_that_was_asked_for():
    sigma = np.linspace(0.1, 3, 59)
    kernels = pil_gaussian_kernel(sigma, 3.0)  # [59, K]
    offset = np.arange(kernels.shape[1]) - kernels.shape[1] // 2
    np.testing.assert_allclose(kernels.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(kernels @ offset**2, sigma**2, rtol=1e-4)
    np.testing.assert_array_equal(kernels, kernels[:, ::-1])
    assert pil_gaussian_kernel(sigma[:0], 0.1).shape[0] == 0

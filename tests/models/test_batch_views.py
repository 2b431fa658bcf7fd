import pytest
import torch
from kornia.augmentation import RandomBrightness
from mmpretrain.registry import MODELS

from mmdisco.errors import InputError

KORNIA = 'kornia.augmentation.'
FLIP = dict(type=KORNIA + 'RandomHorizontalFlip', p=1.0)
BRIGHT = dict(type=KORNIA + 'RandomBrightness', brightness=(0.5, 1.5))


def build(*transforms, **kwargs):
    return MODELS.build(
        dict(
            type='BatchViews',
            transforms=list(transforms),
            mean=[50.0] * 3,
            std=[10.0] * 3,
            **kwargs,
        )
    )


def crop(size):
    return dict(type=KORNIA + 'RandomResizedCrop', size=(size, size))


def test_evaluation_only_normalises_and_repeats_grey():
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    out = build(FLIP)(dict(inputs=images))
    assert out['data_samples'] is None
    expected = torch.stack([(image.float() - 50) / 10 for image in images])
    torch.testing.assert_close(
        out['inputs'], expected.repeat(1, 3, 1, 1), rtol=1e-4, atol=1e-4
    )


def test_training_draws_for_each_image_and_view():
    torch.manual_seed(0)
    images = torch.arange(8, dtype=torch.uint8).repeat(400, 1, 8, 1)
    flip = dict(type=KORNIA + 'RandomHorizontalFlip', p=0.5)
    views = build(flip, num_views=3)(dict(inputs=images), training=True)
    flipped = torch.stack(
        [v[:, 0, 0, 0] > v[:, 0, 0, -1] for v in views['inputs']]
    )  # [3, 400]
    assert len(views['inputs']) == 3
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.06)
    both = (flipped[0] & flipped[1]).float().mean().item()
    assert both == pytest.approx(0.25, abs=0.08)  # views are independent


def test_it_adds_nothing_to_the_checkpoint():
    assert not build(crop(8)).state_dict()
    assert not build([crop(8)], [crop(4), FLIP], num_views=[2, 4]).state_dict()


def test_each_group_has_its_transforms_size_and_count():
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    views = build([crop(8)], [crop(4), FLIP], num_views=[2, 4])(
        dict(inputs=images), training=True
    )['inputs']
    assert [tuple(v.shape) for v in views] == 2 * [(5, 3, 8, 8)] + 4 * [(5, 3, 4, 4)]
    assert not torch.equal(views[2], views[3])  # each view draws anew


def test_views_may_be_asymmetric():
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    plain, flipped = build([], [FLIP], num_views=[1, 1])(
        dict(inputs=images), training=True
    )['inputs']
    expected = (images.float().repeat(1, 3, 1, 1) - 50) / 10
    for view, goal in ((plain, expected), (flipped, expected.flip(3))):
        torch.testing.assert_close(view, goal, rtol=1e-4, atol=1e-4)


def test_a_flat_list_draws_what_its_transforms_draw_view_by_view():
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    torch.manual_seed(3)
    bright = RandomBrightness((0.5, 1.5))
    expected = [
        (bright(images / 255).repeat(1, 3, 1, 1) * 255 - 50) / 10 for _ in range(3)
    ]
    after = torch.rand(1)
    for transforms, num in (([BRIGHT], 3), ([[BRIGHT]], 3), ([[BRIGHT]], [3])):
        torch.manual_seed(3)
        views = build(*transforms, num_views=num)
        for view, goal in zip(
            views(dict(inputs=images), training=True)['inputs'], expected, strict=True
        ):
            torch.testing.assert_close(view, goal, rtol=1e-4, atol=1e-4)
        assert torch.equal(torch.rand(1), after)


@pytest.mark.parametrize(
    'transforms, num_views, message',
    [
        ([[FLIP], [FLIP]], 2, '2 group.s. .* num_views=2'),
        ([[FLIP], [FLIP]], [2, 4, 1], '2 group.s. .* num_views=.2, 4, 1.'),
        ([FLIP, FLIP], [2, 4], '1 group.s. .* num_views=.2, 4.'),
        ([FLIP, [FLIP]], [2, 4], 'partly in groups'),
    ],
)
def test_groups_that_do_not_fit_are_refused(transforms, num_views, message):
    with pytest.raises(InputError, match=message):
        build(*transforms, num_views=num_views)

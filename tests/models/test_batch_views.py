import pytest
import torch
from mmpretrain.registry import MODELS

KORNIA = 'kornia.augmentation.'


def build(*transforms, **kwargs):
    return MODELS.build(dict(
        type='BatchViews', transforms=list(transforms), mean=[50.] * 3,
        std=[10.] * 3, **kwargs))


def test_evaluation_only_normalises_and_repeats_grey():
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    flip = dict(type=KORNIA + 'RandomHorizontalFlip', p=1.)
    out = build(flip)(dict(inputs=images))
    assert out['data_samples'] is None
    expected = torch.stack([(image.float() - 50) / 10 for image in images])
    torch.testing.assert_close(out['inputs'], expected.repeat(1, 3, 1, 1),
                               rtol=1e-4, atol=1e-4)


def test_training_draws_for_each_image_and_view():
    torch.manual_seed(0)
    images = torch.arange(8, dtype=torch.uint8).repeat(400, 1, 8, 1)
    flip = dict(type=KORNIA + 'RandomHorizontalFlip', p=.5)
    views = build(flip, num_views=3)(dict(inputs=images), training=True)
    flipped = torch.stack([
        v[:, 0, 0, 0] > v[:, 0, 0, -1] for v in views['inputs']])  # [3, 400]
    assert len(views['inputs']) == 3
    assert flipped.float().mean().item() == pytest.approx(.5, abs=.06)
    both = (flipped[0] & flipped[1]).float().mean().item()
    assert both == pytest.approx(.25, abs=.08)  # views are independent


def test_it_adds_nothing_to_the_checkpoint():
    crop = dict(type=KORNIA + 'RandomResizedCrop', size=(8, 8))
    assert not build(crop).state_dict()

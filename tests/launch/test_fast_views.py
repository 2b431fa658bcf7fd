"""Views of every recipe by the fast pipelines."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.datasets.transforms import ViewRecipe
from mmdisco.launch.fast_views import use_fast_views
from tests import mocov2_views as released

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
LABELLED = 'one labelled crop and a flip: most of the time is decoding'
ARRAYS = 'images are arrays in memory'
BATCHES = 'its views are already made on whole batches'
FAST = 'it is one of the two fast pipelines'
# Recipes that keep their pipeline, and why.
SLOW = dict(
    cifar100_224=ARRAYS,
    cifar10_224=ARRAYS,
    fashion_mnist=BATCHES,
    fashion_mnist_multicrop=BATCHES,
    fashion_mnist_one_view=BATCHES,
    fashion_mnist_weak_view=BATCHES,
    imagenet_linear=LABELLED,
    imagenet_linear_dino=LABELLED,
    imagenet_semi1=LABELLED,
    imagenet_semi10=LABELLED,
)


def read(name):
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    cfg.model = dict(type='DisCo')
    return cfg


@pytest.mark.parametrize('name', sorted(path.stem for path in FOLDER.glob('*.py')))
@pytest.mark.parametrize('on_device', (False, True), ids=('cpu', 'device'))
def test_every_other_recipe_of_ours_is_fast(name, on_device):
    cfg = read(name)
    before = cfg.pretty_text
    if on_device and name.endswith('_fast') or not on_device and '_device' in name:
        assert not use_fast_views(cfg, on_device)  # its own choice stays
    else:
        assert use_fast_views(cfg, on_device) == (name not in SLOW)
    if name in SLOW:
        assert cfg.pretty_text == before
        return
    dumped = cfg.pretty_text
    use_fast_views(cfg, on_device)  # a dumped config
    assert cfg.pretty_text == dumped


def test_configs_take_their_views_from_these_files():
    """So that the list above is the list of all configs' recipes."""
    for path in FOLDER.parents[1].rglob('*.py'):
        text = path.read_text()
        if path.parent != FOLDER and 'detection' not in path.parts:
            assert 'train_pipeline =' not in text and 'MultiView' not in text, path


def steps_of(cfg):
    dataset = cfg.train_dataloader.dataset
    if dataset.type == 'Bags':
        return [*dataset.dataset.pipeline, *dataset.member_pipeline]
    return dataset.pipeline


BYOL = (
    dict(saturation=0.2, blur_prob=1.0),
    dict(saturation=0.2, blur_prob=0.1, solarize_prob=0.2),
)
LOCAL = dict(saturation=0.2, blur_prob=0.5)
STRONG = dict(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2)


@pytest.mark.parametrize(
    'name, size, scale, interpolation, recipes',
    [
        ('imagenet_byol', 224, (0.08, 1), 'bicubic', BYOL),
        ('imagenet_mocov3', 224, (0.2, 1), None, BYOL),
        (
            'imagenet_dino',
            [224] * 2 + [96] * 8,
            [(0.4, 1)] * 2 + [(0.05, 0.4)] * 8,
            'bicubic',
            [*BYOL, *[LOCAL] * 8],
        ),
        (
            'imagenet_swav',
            [224] * 2 + [96] * 6,
            [(0.14, 1)] * 2 + [(0.05, 0.14)] * 6,
            None,
            [STRONG] * 8,
        ),
        (
            'imagenet_patches',
            [224] + [96] * 6,
            [(0.14, 1)] + [(0.05, 0.14)] * 6,
            None,
            [STRONG] * 7,
        ),
    ],
)
def test_each_view_has_its_own_crop_and_recipe(
    name, size, scale, interpolation, recipes
):
    cfg = read(name)
    use_fast_views(cfg, False)
    load, views, pack = steps_of(cfg)
    assert pack == dict(type='PackInputs') and load.type == 'LoadCrops'
    assert (load['size'], load.scale) == (size, scale)
    assert load.get('interpolation') == interpolation
    assert load.num_views == views.num_views == len(recipes)
    drawn = views['views'] * (len(recipes) if len(views['views']) == 1 else 1)
    assert [ViewRecipe(**one) for one in drawn] == [ViewRecipe(**r) for r in recipes]
    other = read(name)
    use_fast_views(other, True)
    assert load.pop('channels_last')  # for PhotometricViews
    assert steps_of(other) == [load, pack]
    assert other.data_preprocessor['views'] == views['views']
    assert other.data_preprocessor.num_views == len(recipes)


def test_an_anchor_and_its_neighbour():
    cfg = read('imagenet_bags')
    use_fast_views(cfg, False)
    kinds = [(s.type, s.get('num_views')) for s in steps_of(cfg)]
    assert kinds == [
        ('LoadCrops', 2),
        ('PhotometricViews', 2),
        ('PackInputs', None),
        ('LoadCrops', 1),
        ('PhotometricViews', 1),
        ('PackInputs', None),
    ]
    cfg = read('imagenet_bags')
    use_fast_views(cfg, True)
    assert [s.type for s in steps_of(cfg)] == ['LoadCrops', 'PackInputs'] * 2
    assert cfg.data_preprocessor.num_views == 3
    same = read('imagenet_bags')
    del same.train_dataloader.dataset['member_pipeline']  # the anchor's two views
    use_fast_views(same, True)
    assert same.data_preprocessor.num_views == 4


def shrink(cfg):
    """Views of a quarter of the size."""
    for group in cfg.train_dataloader.dataset.pipeline[1].transforms:
        group[0].scale //= 4


def drawn(cfg, path, num):
    """Views of an image, [N, 3, H, W] in 0 to 255 for each."""
    pipeline = Compose(cfg.train_dataloader.dataset.pipeline)
    np.random.seed(0)
    torch.manual_seed(0)
    batch = default_collate([pipeline(dict(img_path=path)) for _ in range(num)])
    batch.setdefault('data_samples', None)
    preprocessor = dict(cfg.data_preprocessor, mean=[0.0] * 3, std=[1.0] * 3)
    return MODELS.build(preprocessor)(batch, training=True)['inputs']


@pytest.mark.filterwarnings('ignore:Only use')
@pytest.mark.parametrize(
    'name, num',
    [('imagenet_byol', 500), ('imagenet_dino', 100), ('imagenet_swav', 100)],
)
@pytest.mark.parametrize('on_device', (False, True), ids=('cpu', 'device'))
def test_views_equal_the_slow_ones_in_distribution(tmp_path, name, num, on_device):
    init_default_scope('mmpretrain')
    path = str(tmp_path / 'a.png')
    released.photograph(80).save(path)
    cfg, slow = read(name), read(name)
    shrink(cfg), shrink(slow)
    assert use_fast_views(cfg, on_device)
    ours, theirs = drawn(cfg, path, num), drawn(slow, path, num)
    assert [v.shape for v in ours] == [v.shape for v in theirs]
    for a, b in zip(ours, theirs):
        a, b = (
            released.statistics(view.permute(0, 2, 3, 1).numpy()).astype(float)
            for view in (a, b)
        )
        error = np.sqrt((a.var(0) + b.var(0)) / num)
        # Pillow rounds down after each part, and so do its steps in mmcv
        assert (np.abs(a.mean(0) - b.mean(0)) <= 4.5 * error + 3).all()

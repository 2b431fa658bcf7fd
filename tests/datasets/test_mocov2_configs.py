"""MoCo-v2's data configs agree and pass RGB to the model."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
NAMES = ('imagenet_mocov2', 'imagenet_mocov2_fast', 'imagenet_mocov2_device')


def load(name):
    return Config.fromfile(FOLDER / f'{name}.py')


def test_they_differ_in_pipeline_and_preprocessor_only():
    reference = load(NAMES[0])
    for name in NAMES[1:]:
        cfg = load(name)
        assert set(reference) - set(cfg) == {'view_pipeline'}
        assert set(cfg) <= set(reference)
        for key in ('mean', 'std'):
            assert cfg.data_preprocessor[key] == reference.data_preprocessor[key]
        loaders = [c.train_dataloader.to_dict() for c in (cfg, reference)]
        for loader in loaders:
            del loader['dataset']['pipeline']
        assert loaders[0] == loaders[1]


@pytest.mark.filterwarnings('ignore:Only use')
@pytest.mark.parametrize('name', NAMES)
def test_red_stays_red(tmp_path, name):
    """Every config passes channels to the model as R, G, B."""
    init_default_scope('mmpretrain')
    cfg = load(name)
    path = str(tmp_path / 'red.png')
    Image.new('RGB', (250, 240), (220, 60, 20)).save(path)
    pipeline = Compose(cfg.train_dataloader.dataset.pipeline)
    torch.manual_seed(0)
    batch = default_collate([pipeline(dict(img_path=path)) for _ in range(8)])
    batch.setdefault('data_samples', None)
    out = MODELS.build(cfg.data_preprocessor)(batch, training=True)
    assert len(out['inputs']) == 2
    for view in out['inputs']:
        assert view.shape == (8, 3, 224, 224) and view.is_floating_point()
    std, mean = (torch.tensor(cfg.data_preprocessor[k]) for k in ('std', 'mean'))
    colour = torch.cat(out['inputs']).mean((2, 3)) * std + mean  # [16, 3]
    coloured = colour.std(1) > 2
    assert coloured.sum() > 6
    assert (colour[coloured].argmax(1) == 0).all()
    assert (colour >= -1).all() and (colour <= 256).all()

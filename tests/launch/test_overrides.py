from pathlib import Path

import pytest
from mmengine.registry import init_default_scope

from mmdisco.launch import apply_overrides, read_config

CONFIG = Path(__file__).parents[2] / 'configs' / 'disco' / 'r50_mbv3.py'


@pytest.fixture
def cfg():
    init_default_scope('mmpretrain')
    return read_config(str(CONFIG))


def test_data_root_reaches_every_data_set(cfg):
    cfg.val_dataloader = dict(
        dataset=dict(
            type='RepeatDataset', dataset=dict(type='Photos', data_root='data/imagenet')
        )
    )
    apply_overrides(cfg, dict(data_root='elsewhere'))
    assert cfg.data_root == 'elsewhere'
    assert cfg.train_dataloader.dataset.data_root == 'elsewhere'
    assert cfg.val_dataloader.dataset.dataset.data_root == 'elsewhere'


def test_keys_of_the_config_and_of_its_classes_can_be_set(cfg):
    apply_overrides(
        cfg,
        {
            'optim_wrapper.optimizer.lr': 0.1,
            'model.teacher.norm_mode': 'batch',  # not in the file
            'model.ssl.backbone.frozen_stages': 3,
            'param_scheduler.0.eta_min': 0.01,
            'default_hooks.checkpoint.interval': 5,
            'train_dataloader.dataset.pipeline.0.background': [0, 0, 0],
            'data_preprocessor.to_rgb': False,
            'find_unused_parameters': True,
        },
    )
    assert not cfg.data_preprocessor.to_rgb
    assert cfg.optim_wrapper.optimizer.lr == 0.1
    assert cfg.model.teacher.norm_mode == 'batch'
    assert cfg.param_scheduler[0].eta_min == 0.01
    assert cfg.find_unused_parameters


@pytest.mark.parametrize(
    'key, words',
    [
        ('teacher.checkpoint', "override 'model.teacher.checkpoint'"),
        ('view_pipeline.0.scale', 'template'),
        ('optim_wraper.optimizer.lr', "did you mean 'optim_wrapper'"),
        (
            'optim_wrapper.optimizer.learning_rate',
            "no 'learning_rate' in optim_wrapper.optimizer",
        ),
        ('model.teacher.norm_mod', "did you mean 'norm_mode'"),
        ('model.ssl.queue_length', "did you mean 'queue_len'"),
        ('param_scheduler.3.T_max', "no '3' in param_scheduler"),
        ('train_cfg.max_epoch', "did you mean 'max_epochs'"),
    ],
)
def test_a_wrong_key_suggests_the_right_one(cfg, key, words):
    before = cfg.pretty_text
    with pytest.raises(ValueError, match=words):
        apply_overrides(cfg, {key: 1})
    assert cfg.pretty_text == before


def test_a_missing_config_suggests_the_nearest_name():
    with pytest.raises(FileNotFoundError, match='did you mean .*r50_mbv3.py'):
        read_config(str(CONFIG.with_name('r50_mvb3.py')))

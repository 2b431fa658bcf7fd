"""Faulty schedules, reported in one line each."""

import inspect

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmpretrain.registry import HOOKS

from mmdisco.launch import check_schedule, read_config, unreached
from mmdisco.launch.schedule import WAITS
from tests.test_configs import LEAVES


@pytest.mark.parametrize(
    'config', ['dino_vitt', 'byol_r18', 'simclr_r18', 'mocov3_r18', 'barlowtwins_r18']
)
def test_a_run_shorter_than_its_warm_up_is_refused(config):
    cfg = read_config(f'configs/baselines/{config}.py')
    assert check_schedule(cfg) == []
    cfg.train_cfg.max_epochs = 10
    with pytest.raises(
        ValueError,
        match=r'param_scheduler.1 .* begins after '
        '10 epochs, but train_cfg.max_epochs is 10',
    ):
        check_schedule(cfg)
    cfg.train_cfg.max_epochs = 11
    assert check_schedule(cfg) == []


def test_the_tool_reports_it_before_anything_runs(fails, tmp_path):
    line = fails(
        'tools/train.py',
        'configs/baselines/byol_r18.py',
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        'train_cfg.max_epochs=5',
    )
    assert 'max_epochs is 5: lower param_scheduler.1.begin' in line
    assert not (tmp_path / 'run').exists()
    line = fails(
        'tools/train.py',
        'configs/disco_dino/vits_vitt.py',
        '--cfg-options',
        'model.distill.adapter=dict(in_features=1,out_features=',
    )
    assert 'a.b=1 a.c=2' in line


def test_one_scheduler_or_none_is_allowed():
    cfg = read_config('configs/baselines/mocov2_r18.py')
    for schedulers in (cfg.param_scheduler[0], None):
        cfg.param_scheduler, cfg.custom_hooks = schedulers, None
        assert check_schedule(cfg) == []


def test_a_predictor_that_is_not_scaled_is_logged():
    cfg = read_config('configs/baselines/simsiam_r18.py')
    assert check_schedule(cfg) == []
    cfg.auto_scale_lr.enable = True
    (note,) = check_schedule(cfg)
    index = note.rpartition('custom_hooks.')[2].split('.')[0]
    assert cfg.custom_hooks[int(index)].type == 'SimSiamHook'
    assert 'lr of the predictor at 0.05' in note


def warm_up(**settings):
    cfg = read_config('configs/quickstart/mocov2.py')
    cfg.param_scheduler = [ConfigDict(dict(dict(type='LinearLR'), **settings))]
    return cfg


def last_rate(epochs, epoch_length, **settings):
    """Return the final rate of mmengine's scheduler, relative to the full rate."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = PARAM_SCHEDULERS.build(
        dict(dict(type='LinearLR', end=epochs), **settings),
        default_args=dict(optimizer=OptimWrapper(optimizer), epoch_length=epoch_length),
    )
    steps = epochs - 1 if scheduler.by_epoch else epochs * epoch_length - 1
    for _ in range(steps):
        scheduler.step()
    return optimizer.param_groups[0]['lr']


@pytest.mark.parametrize(
    'settings, fix',
    [
        (dict(start_factor=0.1, by_epoch=True, end=1), 'convert_to_iter_based'),
        (dict(end=1), 'convert_to_iter_based'),  # both are the defaults
        (dict(type='ConstantLR', factor=0.1, begin=2, end=3), 'convert_to_iter'),
        (dict(start_factor=0.1, by_epoch=False, end=1), '.end to more'),
        (dict(start_factor=0.1, by_epoch=True, end=13), 'lower .*.end'),
    ],
)
def test_a_warm_up_that_never_ends_is_refused(settings, fix):
    """With mmengine's scheduler, twelve epochs do not reach the full rate."""
    assert last_rate(12, 5, **settings) < 0.99
    with pytest.raises(ValueError, match=fix):
        check_schedule(warm_up(**settings))


@pytest.mark.parametrize(
    'settings',
    [
        dict(start_factor=0.1, by_epoch=True, end=2),
        dict(start_factor=0.1, by_epoch=True, end=12),
        dict(start_factor=0.1, by_epoch=True, end=1, convert_to_iter_based=True),
        dict(start_factor=0.1, by_epoch=False, end=2),
        dict(type='ConstantLR', factor=0.1, end=5),
    ],
)
def test_a_warm_up_that_ends_is_allowed(settings):
    assert last_rate(12, 5, **settings) == pytest.approx(1)
    check_schedule(warm_up(**settings))


def test_a_decay_is_not_a_warm_up():
    check_schedule(warm_up(start_factor=1.0, end_factor=0.1, end=1))
    with pytest.raises(ValueError, match='is 0, but LinearLR divides by it'):
        check_schedule(warm_up(start_factor=0, end=5))


@pytest.mark.parametrize(
    'config, epochs, iters, keys',
    [
        ('benchmarks/linear_r18', 50, 9, ['milestones.0', 'milestones.1']),
        ('benchmarks/linear_r18', 60, 9, ['milestones.0', 'milestones.1']),
        ('benchmarks/linear_r18', 61, 9, ['milestones.1']),
        ('benchmarks/linear_r18', 81, 9, []),
        ('benchmarks/semi1_r18', 81, 9, []),
        ('comparators/compress_r50_r18', 90, 9, ['milestones.0', 'milestones.1']),
        ('baselines/swav_mbv3', 15, 1000, ['start_epoch of SwAVQueueHook']),
        ('baselines/swav_mbv3', 16, 300, ['iters of FreezeGradHook']),
        ('baselines/swav_mbv3', 16, 400, []),
        ('baselines/densecl_r18', 2, 500, ['start_iters of DenseCLHook']),
        ('quickstart/mocov2', 7, 7, ['param_scheduler.0.end']),
        ('quickstart/mocov2', 5, 10, []),
    ],
)
def test_unreached_settings_of_a_short_training_are_logged(config, epochs, iters, keys):
    cfg = read_config(f'configs/{config}.py')
    assert unreached(cfg, 10000) == []
    cfg.train_cfg.max_epochs = epochs
    notes = unreached(cfg, iters)
    assert len(notes) == len(keys)
    for note, key in zip(notes, keys):
        assert key in note and 'but the training has' in note
    cfg.smoke = True  # which is always too short
    assert unreached(cfg, iters) == []


def test_dinos_delays_are_logged():
    cfg = read_config('configs/baselines/dino_vitt.py')
    cfg.custom_hooks.append(ConfigDict(dict(type='MomentumTempHook', epochs=30)))
    cfg.train_cfg.max_epochs = 30
    assert unreached(cfg, 9) == []
    cfg.train_cfg.max_epochs = 29
    assert 'epochs of MomentumTempHook is 30' in unreached(cfg, 9)[0]
    cfg.train_cfg.max_epochs = 1
    assert 'the weights stay frozen' in unreached(cfg, 9)[0]


def test_a_disabled_queue_is_not_logged():
    cfg = read_config('configs/baselines/swav_mbv3.py')
    cfg.train_cfg.max_epochs = 10
    assert len(unreached(cfg, 1000)) == 1
    cfg.model.head.loss.queue_len = 0
    assert unreached(cfg, 1000) == []


def test_iteration_based_trainings_are_compared_in_iterations():
    cfg = Config(
        dict(
            model={},
            train_cfg=dict(max_iters=100),
            param_scheduler=[
                dict(type='MultiStepLR', by_epoch=False, milestones=[50, 100])
            ],
            custom_hooks=[dict(type='EMAHook', begin_iter=100)],
        )
    )
    assert len(unreached(cfg, 10)) == 2
    cfg.train_cfg.max_iters = 101
    assert unreached(cfg, 10) == []


@pytest.mark.parametrize('wait', WAITS, ids=lambda wait: '-'.join(wait[:2]))
def test_the_defaults_of_waits_are_those_of_the_hooks(wait):
    cls = HOOKS.get(wait.hook) or dict(EMAHook=EMAHook).get(wait.hook)
    if cls is None:
        assert 'PipelineSwitch' in wait.hook  # of mmdet, which may be missing
        return
    assert inspect.signature(cls).parameters[wait.argument].default == wait.default


@pytest.mark.parametrize(
    'name', [name for name in LEAVES if 'r50_' not in name or 'r50_r18' in name]
)
def test_the_configs_reach_all_that_they_set(name):
    cfg = read_config(f'configs/{name}')
    cfg.setdefault('auto_scale_lr', dict(enable=False))
    assert check_schedule(cfg) == [] and unreached(cfg, 400) == []

"""Types and ranges of a config's values."""

import pytest
from mmengine.config import Config

from mmdisco.errors import InputError
from mmdisco.launch import (
    apply_overrides,
    check_config,
    check_folder,
    read_config,
)
from mmdisco.launch.checks import range_of
from tests.tools import ROOT

MOCO = str(ROOT / 'configs/disco/r50_mbv3.py')
LINEAR = str(ROOT / 'configs/benchmarks/linear_r18.py')
QUICKSTART = str(ROOT / 'configs/quickstart/mocov2.py')
PARTS = ('model', 'train_cfg', 'train_dataloader', 'optim_wrapper')


def checked(options, config=MOCO):
    cfg = read_config(config)
    apply_overrides(cfg, options)
    check_config(cfg, PARTS)
    return cfg


@pytest.mark.parametrize(
    'key, refused, taken',
    [
        ('train_dataloader.batch_size', (0, -4, 2.5, True, None), (1, 7)),
        ('train_dataloader.num_workers', (-1, 0.5, None), (0, 3)),
        ('train_dataloader.prefetch_factor', (0, -1), (1, None)),
        ('train_cfg.max_epochs', (0, -1, 1.5), (1, 800)),
        ('train_cfg.val_interval', (0,), (1,)),
        (
            'optim_wrapper.optimizer.lr',
            (-1, 0, float('nan'), float('inf'), None),
            (1e-9, 30, 4.8),
        ),
        ('optim_wrapper.optimizer.momentum', (-0.1, 1), (0, 0.9)),
        ('optim_wrapper.optimizer.weight_decay', (-1e-4,), (0, 0.4)),
        ('optim_wrapper.accumulative_counts', (0, 1.5), (1, 8)),
        ('param_scheduler.0.T_max', (0,), (1, None)),
        ('param_scheduler.0.eta_min', (-1,), (0, 1e-6, None)),
        ('randomness.seed', (-1, 2**32, 0.5, True), (0, None, 2**32 - 1)),
        ('data_preprocessor.std.0', (0, -1, True, float('nan')), (90, 0.1)),
        ('data_preprocessor.std', ([1.0, 0.0, 1.0],), ([1.0, 2.0, 3.0],)),
        ('data_preprocessor.mean.2', (float('inf'),), (0, -1.5)),
        ('model.ssl.queue_len', (0, -1, None), (256, 'auto')),
        ('model.mixup', (-1, None), (0, 1)),
        ('model.ssl.momentum', (-1, 2), (0, 1, 0.01)),
        ('model.ssl.head.temperature', (0, -1), (0.07,)),
        ('model.distill.loss_weight', (-1,), (0, 32)),
        ('model.ssl.backbone.norm_cfg.eps', (0,), (1e-5,)),
        ('default_hooks.checkpoint.interval', (0, -2), (1, -1)),
        ('default_hooks.checkpoint.max_keep_ckpts', (0,), (3, -1)),
        ('default_hooks.logger.interval', (0,), (1,)),
        ('custom_hooks.4.window', (0,), (10,)),
        ('auto_scale_lr.base_batch_size', (0,), (256,)),
        ('log_processor.window_size', (0,), (10,)),
    ],
)
def test_numbers_are_in_their_range(key, refused, taken):
    for value in refused:
        with pytest.raises(InputError, match=f'^{key}.* is .* must be '):
            checked({key: value})
    for value in taken:
        checked({key: value})


def test_the_first_match_applies():
    """SwAV's queue may be off, MoCo's not; patterns match whole names."""
    assert range_of('model.head.loss.queue_len').allows(0)
    assert not range_of('model.distill.1.queue_len').allows(0)
    assert not range_of('model.queue_len').allows(0)
    assert range_of('default_hooks.online_knn.interval').allows(0)
    assert not range_of('default_hooks.checkpoint.interval').allows(0)
    assert range_of('train_dataloader.dataset.num_classes') is None
    assert range_of('model.train_cfg.rpn.pos_weight') is None


@pytest.mark.parametrize(
    'name, value',
    [
        ('model.backbone.stem_channels', None),  # mmpretrain's default
        ('model.backbone.num_classes', -1),  # VGG's, for no classes
        ('model.bbox_head.corner_emb_channels', 0),  # CentripetalNet's
        ('train_dataloader.dataset.pipeline.2.crop_size', 0.5),  # a fraction
        ('optim_wrapper.clip_grad.max_norm', float('inf')),
        ('custom_hooks.0.interval', -1),  # a CheckpointHook's, for only the best
    ],
)
def test_special_values_are_allowed(name, value):
    allowed = range_of(name)
    assert allowed is None or allowed.allows(value)


@pytest.mark.parametrize(
    'options, words',
    [
        ({'train_dataloader': None}, 'train_dataloader of the config is None'),
        ({'model.ssl': None}, 'model.ssl is None'),
        ({'optim_wrapper.optimizer': None}, 'optim_wrapper.optimizer is None'),
        ({'optim_wrapper': 0}, "must be a dict, got '0'"),
        ({'custom_hooks.6': 3}, "must be a dict, got '3'"),
        ({'custom_hooks': [3]}, 'custom_hooks.0 is 3'),
        ({'param_scheduler': ['a']}, 'param_scheduler.0 is'),
        ({'visualizer.vis_backends': ["dict(type='A')"]}, 'must be a dict'),
    ],
)
def test_dicts_stay_dicts(options, words):
    with pytest.raises(InputError, match=words.replace('(', r'\(').replace(')', r'\)')):
        checked(options)


def test_none_removes_an_entry():
    cfg = checked(
        {
            'custom_hooks.6': None,
            'param_scheduler.0': None,
            'train_dataloader.dataset.pipeline.1.transforms.0.1': None,
            'default_hooks.logger': None,
        }
    )
    before = read_config(MOCO)
    assert cfg.custom_hooks == before.custom_hooks[:6]
    assert cfg.param_scheduler == []
    views = before.train_dataloader.dataset.pipeline[1].transforms[0]
    assert cfg.train_dataloader.dataset.pipeline[1].transforms[0] == [
        views[0],
        *views[2:],
    ]
    assert cfg.default_hooks.logger is None  # mmengine would add its own
    cfg = checked(
        {'default_hooks.epoch_seed': None}, str(ROOT / 'configs/quickstart/mocov2.py')
    )
    assert 'epoch_seed' not in cfg.default_hooks


@pytest.mark.parametrize('part', ['cfg', 'dataloader', 'evaluator'])
def test_an_evaluation_is_removed_completely(part):
    cfg = checked({f'val_{part}': None}, LINEAR)
    assert (cfg.val_cfg, cfg.val_dataloader, cfg.val_evaluator) == (None, None, None)
    assert cfg.test_evaluator is not None
    cfg = checked({f'val_{part}': None}, QUICKSTART)
    assert (cfg.val_cfg, cfg.val_dataloader, cfg.val_evaluator) == (None, None, None)


def test_the_best_is_selected_by_a_computed_score():
    name = 'default_hooks.checkpoint.save_best'
    for best in ('auto', 'accuracy/top1', None):
        checked({name: best}, LINEAR)
    for options in ({name: 'top1'}, {name: 'accuracy/top5', 'val_evaluator.topk': 1}):
        with pytest.raises(InputError, match='evaluation computes accuracy/top1'):
            checked(options, LINEAR)


def test_the_best_of_a_pre_training_is_selected_by_an_online_score():
    name = 'default_hooks.checkpoint.save_best'
    for best in ('auto', 'knn_top1', None):
        checked({name: best}, QUICKSTART)
    for best in ('accuracy/top1', 'knn_top'):
        with pytest.raises(InputError, match='evaluation computes knn_top1'):
            checked({name: best}, QUICKSTART)
    with pytest.raises(InputError, match='computes no score$'):
        checked({name: 'knn_top1', 'val_cfg.scorers': []}, QUICKSTART)
    # without any evaluation
    checked({name: 'accuracy/top1', 'val_cfg': None}, QUICKSTART)
    with pytest.raises(InputError, match='computes knn_top1 and probe_top1$'):
        checked({name: 'rank_me', 'val_cfg.scorers.2': None}, QUICKSTART)
    with pytest.raises(InputError, match='val_cfg.scorers.0 is 3, but must be a dict'):
        checked({'val_cfg.scorers': [3]}, QUICKSTART)


def with_hooks(tmp_path, **knn):
    """Write the quickstart's config with online scores as hooks."""
    path = tmp_path / 'hooks.py'
    path.write_text(
        f"_base_ = '{QUICKSTART}'\n"
        'val_cfg = None\nval_dataloader = None\nval_evaluator = None\n'
        'default_hooks = dict(\n'
        f'    online_knn=dict(type="OnlineKNNHook", **{knn}),\n'
        '    online_probe=dict(type="OnlineProbeHook"))\n'
    )
    return str(path)


def test_scores_of_hooks_are_known(tmp_path):
    """For configs without val_cfg."""
    name = 'default_hooks.checkpoint.save_best'
    checked({name: 'probe_top1'}, with_hooks(tmp_path))
    with pytest.raises(InputError, match='computes knn_top1 and probe_top1$'):
        checked({name: 'rank_me'}, with_hooks(tmp_path))
    with pytest.raises(InputError, match='computes no score$'):
        checked({name: 'knn_top1', 'val_cfg.scorers': []}, QUICKSTART)
    # without any evaluation
    checked({name: 'rank_me'}, with_hooks(tmp_path, interval=0))
    off = {'default_hooks.online_knn.interval': 0}
    checked({name: 'rank_me', **off}, with_hooks(tmp_path))


@pytest.mark.parametrize('interval', [0, 5])
def test_the_hook_beside_the_loop_is_rejected(interval, tmp_path):
    """With interval 0 the loop would go on scoring."""
    path = tmp_path / 'leaf.py'
    path.write_text(
        f"_base_ = '{QUICKSTART}'\ndefault_hooks = dict(online_knn=dict("
        f"type='OnlineKNNHook', interval={interval}))\n"
    )
    with pytest.raises(InputError, match='OnlineKNNHook beside the OnlineLoop: .*None'):
        checked({}, str(path))


def test_options_of_hooks_that_are_scorers_now():
    """Options of earlier configs set the same of val_cfg."""
    hooks = 'default_hooks'
    now = checked(
        {
            f'{hooks}.online_knn.interval': 5,
            f'{hooks}.online_knn.num_train': 300,
            f'{hooks}.online_knn.batch_size': 50,
            f'{hooks}.online_knn.k': 7,
            f'{hooks}.online_probe': None,
            f'{hooks}.feature_quality.num': 90,
        },
        QUICKSTART,
    )
    assert now.train_cfg.val_interval == 5
    assert now.val_cfg.num_train == 300 and now.val_dataloader.batch_size == 50
    assert [dict(scorer) for scorer in now.val_cfg.scorers] == [
        dict(type='KNNScorer', k=7),
        dict(type='QualityScorer', num=90),
        dict(type='TeacherKNNScorer'),
    ]
    for off in ({f'{hooks}.online_knn.interval': 0}, {f'{hooks}.online_knn': None}):
        for more in ({}, {f'{hooks}.online_probe': None}):
            cfg = checked({**off, **more}, QUICKSTART)
            assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    with pytest.raises(InputError, match="val_cfg.scorers.1.rate: no 'rate'"):
        checked({f'{hooks}.online_probe.rate': 1}, QUICKSTART)


@pytest.mark.parametrize(
    'hook', ['online_knn', 'online_probe', 'feature_quality', 'teacher_knn']
)
def test_settings_of_hooks_that_are_scorers_now(hook, tmp_path):
    words = 'online scores are set in val_cfg: train_cfg.val_interval=N'
    path = tmp_path / 'leaf.py'
    for name, reason in ((hook, words), ('mine', 'give it one')):
        path.write_text(
            f"_base_ = '{QUICKSTART}'\ndefault_hooks = dict({name}=dict(interval=5))\n"
        )
        with pytest.raises(InputError, match=f'hooks.{name} has no type: {reason}'):
            checked({}, str(path))
    path.write_text(f"_base_ = '{QUICKSTART}'\ndefault_hooks = dict({hook}=None)\n")
    with pytest.raises(InputError, match=f'hooks.{hook} is None, but {words}'):
        checked({}, str(path))
    checked({'val_cfg': None}, str(path))
    path.write_text(
        f"_base_ = '{QUICKSTART}'\n"
        f'default_hooks = dict({hook}=dict(type="OnlineKNNHook"))\n'
    )
    checked({f'default_hooks.{hook}': None}, str(path))


@pytest.mark.parametrize(
    'key, refused, taken',
    [
        ('log_level', ('LOUD', 3), ('DEBUG',)),
        ('optim_wrapper.clip_grad', (3, True), (None, dict(max_norm=1.0))),
    ],
)
def test_only_listed_values_are_allowed(key, refused, taken):
    for value in refused:
        with pytest.raises(InputError, match=f'^{key} is .* must be '):
            checked({key: value})
    for value in taken:
        checked({key: value})


@pytest.mark.parametrize('below', ['', 'a', 'a/b'])
def test_a_folder_is_not_a_file(tmp_path, below):
    (tmp_path / 'file').touch()
    check_folder(str(tmp_path / 'new' / below), '--work-dir')
    with pytest.raises(
        InputError, match="file' is a file, not a folder: choose another --work-dir"
    ):
        check_folder(str(tmp_path / 'file' / below), '--work-dir')


def test_entries_of_tuples_are_set():
    key = 'train_dataloader.dataset.pipeline.1.transforms.0.0'
    cfg = checked({f'{key}.crop_ratio_range.0': 0.5})
    crop = cfg.train_dataloader.dataset.pipeline[1].transforms[0][0]
    assert crop.crop_ratio_range == (0.5, 1.0)


@pytest.mark.parametrize(
    'classes, topk, fits',
    [
        (3, (1, 5), False),
        (5, (1, 5), True),
        (3, 1, True),
        (3, (1, 3), True),
        (4, 5, False),
    ],
)
def test_topk_is_at_most_the_number_of_classes(classes, topk, fits):
    options = {
        'model.head.num_classes': classes,
        'val_evaluator.topk': topk,
        'test_evaluator.topk': topk,
    }
    if fits:
        checked(options, LINEAR)
        return
    with pytest.raises(
        InputError,
        match='val_evaluator has topk=5, '
        f'but .* is {classes}: set val_evaluator.topk=1',
    ):
        checked(options, LINEAR)


def test_only_what_is_evaluated_is_compared_with_the_classes():
    cfg = read_config(LINEAR)
    apply_overrides(
        cfg,
        {
            'model.head.num_classes': 3,
            'val_evaluator.topk': 1,
            'test_evaluator.topk': 5,
        },
    )
    check_config(cfg, PARTS)
    with pytest.raises(InputError, match='test_evaluator has topk=5'):
        check_config(cfg, ('model',), 'test')


@pytest.mark.parametrize(
    'backend, package',
    [
        ('TensorboardVisBackend', 'tensorboard'),
        ('WandbVisBackend', 'wandb'),
        ('MLflowVisBackend', 'mlflow'),
        ('AimVisBackend', 'aim'),
    ],
)
def test_a_visualization_backend_without_its_package(monkeypatch, backend, package):
    there = []
    monkeypatch.setattr('mmdisco.launch.checks.find_spec', there.count)
    for options in (
        {'visualizer.vis_backends.0.type': backend},
        {'visualizer.vis_backends': [dict(type=backend)]},
    ):
        with pytest.raises(InputError, match=f"run 'pip install {package}'"):
            checked(options)
    there.append(package)
    checked({'visualizer.vis_backends': [dict(type=backend)]})


def test_configs_of_other_projects_are_allowed():
    """mmdet has its own settings with the value -1."""
    check_config(
        Config(dict(model=dict(train_cfg=dict(pos_weight=-1, allowed_border=-1)))),
        ('model',),
    )

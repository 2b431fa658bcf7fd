"""Each row of the table of docs/resume.md."""

import math
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.logging import MMLogger

from mmdisco.errors import InputError
from tests.engine.toy_runs import steps, train, values
from tests.forkserver import START

COSINE = dict(type='CosineAnnealingLR', by_epoch=True)
SCHEDULES = dict(
    by_epoch=[COSINE],
    by_iteration=[dict(COSINE, convert_to_iter_based=True)],
    warm_up=[
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=6),
        dict(COSINE, convert_to_iter_based=True),
    ],
    warm_up_of_epochs=[
        dict(
            type='LinearLR',
            start_factor=0.1,
            by_epoch=True,
            end=1,
            convert_to_iter_based=True,
        ),
        dict(COSINE, begin=1, convert_to_iter_based=True),
    ],
    steps=[dict(type='MultiStepLR', milestones=[1, 3], by_epoch=True)],
    halvings=[dict(type='StepLR', step_size=3, gamma=0.5, by_epoch=False)],
    polynomial=[dict(type='PolyLR', power=2, by_epoch=False)],
    one_cycle=[dict(type='OneCycleLR', eta_max=0.3, total_steps=25, by_epoch=False)],
    decay=[
        COSINE,
        dict(
            type='CosineAnnealingParamScheduler',
            param_name='weight_decay',
            eta_min_ratio=10.0,
            by_epoch=True,
            convert_to_iter_based=True,
        ),
    ],
)


@pytest.fixture
def log(monkeypatch):
    """Collect logged warnings."""
    lines = []
    monkeypatch.setattr(
        MMLogger, 'warning', lambda self, text, *_: lines.append(str(text))
    )
    return lines


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'optim_wrapper.accumulative_counts': 2},  # five batches per epoch
        {'optim_wrapper.accumulative_counts': 3},
        {
            'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=20),
            'param_scheduler.1.by_epoch': False,
            'param_scheduler.1.convert_to_iter_based': False,
            'default_hooks.checkpoint.by_epoch': False,
            'default_hooks.checkpoint.interval': 5,
            'train_dataloader.sampler.type': 'InfiniteSampler',
            'optim_wrapper.accumulative_counts': 2,
        },
        {'optim_wrapper.paramwise_cfg': dict(bias_decay_mult=0.0)},
        {
            'optim_wrapper.optimizer': dict(
                _delete_=True, type='AdamW', lr=0.01, weight_decay=0.1
            )
        },
        {'randomness.seed': None},  # the drawn seed is kept
    ],
    ids=[
        'plain',
        'accumulation',
        'accumulation of 3',
        'iterations',
        'two groups',
        'AdamW',
        'drawn seed',
    ],
)
def test_an_unchanged_config_resumes_bit_for_bit(tmp_path, log, options):
    full = train(tmp_path, options)
    by_iter = 'default_hooks.checkpoint.by_epoch' in options
    name = 'iter_5.pth' if by_iter else 'epoch_1.pth'
    resumed = train(tmp_path, options, tmp_path / name)
    assert not [line for line in log if 'resumed at' in line]
    assert steps(resumed) == steps(full)[5:]
    for key, value in full.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


@pytest.mark.parametrize('name', SCHEDULES)
def test_more_epochs_are_trained_with_the_longer_schedule(tmp_path, log, name):
    schedule = {'param_scheduler': SCHEDULES[name]}
    more = {**schedule, 'train_cfg.max_epochs': 5}
    train(tmp_path / 'a', {**schedule, 'train_cfg.max_epochs': 2})
    resumed = train(tmp_path / 'a', more, 'auto')
    full = train(tmp_path / 'b', more)
    for setting in ('epoch', 'iter', 'lr', 'weight_decay', 'images'):
        assert values(resumed, setting) == values(full, setting, 10)
    (line,) = (line for line in log if 'resumed at' in line)
    assert 'epoch 2, iteration 10, with max_epochs 2 -> 5' in line


def test_a_new_learning_rate_is_used(tmp_path, log):
    train(tmp_path)
    resumed = train(
        tmp_path,
        {
            'optim_wrapper.optimizer.lr': 2.0,
            'optim_wrapper.optimizer.weight_decay': 0.5,
            'optim_wrapper.optimizer.momentum': 0.8,
        },
        tmp_path / 'epoch_2.pth',
    )
    for i, rate in zip(range(10, 20), values(resumed, 'lr')):
        expected = 2 * (1 + math.cos(math.pi * i / 20)) / 2
        assert rate == pytest.approx(expected, rel=1e-6)
    assert set(values(resumed, 'weight_decay')) == {0.5}
    (group,) = resumed.optim_wrapper.optimizer.param_groups
    assert group['momentum'] == 0.8
    (line,) = (line for line in log if 'resumed at' in line)
    assert 'lr 0.1 -> 2.0; momentum 0.9 -> 0.8; weight_decay 0.01 -> 0.5' in (line)


def test_groups_of_parameters_keep_their_own_rates(tmp_path):
    paramwise = {'optim_wrapper.paramwise_cfg': dict(bias_lr_mult=0.5)}
    train(tmp_path, paramwise)
    resumed = train(
        tmp_path,
        {**paramwise, 'optim_wrapper.optimizer.lr': 2.0, 'param_scheduler': []},
        tmp_path / 'epoch_2.pth',
    )
    assert sorted(
        group['lr'] for group in resumed.optim_wrapper.optimizer.param_groups
    ) == [1.0, 2.0]


def test_the_momentum_of_the_optimizer_is_kept(tmp_path):
    train(tmp_path)
    saved = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)
    moved = saved['optimizer']['state'][0]['momentum_buffer'].clone()
    weight = saved['state_dict']['layer.weight'].clone()
    resumed = train(
        tmp_path,
        {
            'optim_wrapper.optimizer.lr': 1.0,
            'train_dataloader.batch_size': 20,
            'optim_wrapper.optimizer.weight_decay': 0.0,
            'param_scheduler': [],
        },
        tmp_path / 'epoch_3.pth',
    )
    rows = torch.from_numpy(resumed.train_dataloader.dataset.rows)
    bias = saved['state_dict']['layer.bias']
    error = rows @ weight.T + bias - 1  # one batch of all rows
    gradient = 2 * error.T @ rows / error.numel()
    torch.testing.assert_close(
        resumed.model.layer.weight.data, weight - (0.9 * moved + gradient)
    )


@pytest.mark.parametrize(
    'options, length',
    [
        ({'train_dataloader.batch_size': 2}, 10),
        ({'train_dataloader.batch_size': 10}, 2),
        ({'train_dataloader.dataset.num': 28}, 7),
    ],
)
def test_the_schedule_ends_with_the_training_whatever_the_batch(
    tmp_path, log, options, length
):
    train(tmp_path / 'a')
    resumed = train(tmp_path / 'a', options, tmp_path / 'a' / 'epoch_2.pth')
    full = train(tmp_path / 'b', options)
    for setting in ('epoch', 'iter', 'lr', 'images'):
        assert values(resumed, setting) == values(full, setting, 2 * length)
    assert resumed.iter == resumed.max_iters == 4 * length
    (line,) = (line for line in log if 'resumed at' in line)
    assert f'epoch_length 5 -> {length}' in line


def test_another_number_of_ranks_is_named(tmp_path, log):
    train(tmp_path)
    path = tmp_path / 'epoch_2.pth'
    saved = torch.load(path, weights_only=False)
    saved['meta']['settings'].update(ranks=2, epoch_length=3)
    saved['meta']['iter'] = 6
    torch.save(saved, path)
    resumed = train(tmp_path, {}, path)
    assert values(resumed, 'iter') == list(range(10, 20))
    (line,) = (line for line in log if 'resumed at' in line)
    assert 'epoch_length 3 -> 5; ranks 2 -> 1' in line


def test_new_accumulation_is_used(tmp_path, log):
    train(tmp_path, {'optim_wrapper.accumulative_counts': 2})
    train(
        tmp_path, {'optim_wrapper.accumulative_counts': 3}, tmp_path / 'epoch_1.pth'
    )  # after 5 batches
    assert any('accumulative_counts 2 -> 3' in line for line in log)
    assert any('does not have the gradients of 2 of 3' in line for line in log)


def test_a_new_seed_is_used(tmp_path, log):
    train(tmp_path / 'a')
    resumed = train(
        tmp_path / 'a', {'randomness.seed': 1}, tmp_path / 'a' / 'epoch_2.pth'
    )
    full = train(tmp_path / 'b', {'randomness.seed': 1})
    assert resumed.seed == 1
    assert values(resumed, 'images') == values(full, 'images', 10)
    assert any('seed 0 -> 1' in line for line in log)


@pytest.mark.parametrize(
    'interval, name, epoch',
    [(7, 'iter_7.pth', 1), (2, 'iter_2.pth', 0), (5, 'iter_10.pth', 2)],
)
def test_an_epoch_is_neither_overrun_nor_halved(tmp_path, log, interval, name, epoch):
    options = {
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': interval,
    }
    full = train(tmp_path, options)
    resumed = train(tmp_path, options, tmp_path / name)
    for setting in ('epoch', 'iter', 'lr', 'images'):
        assert values(resumed, setting) == values(full, setting, 5 * epoch)
    (line,) = (line for line in log if 'resumed at' in line)
    assert (
        f'epoch {epoch} done'
        if interval == 5
        else f'epoch {epoch + 1} restarted, after 2 of 5 iterations'
    ) in line


@pytest.mark.parametrize(
    'options, words',
    [
        (
            {'optim_wrapper.optimizer': dict(_delete_=True, type='AdamW', lr=0.1)},
            'of a run with SGD, the config has AdamW',
        ),
        (
            {'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=20)},
            'a run with EpochBasedTrainLoop, the config has IterBasedTrainLoop',
        ),
        (
            {'train_cfg.max_epochs': 1},
            'has epoch 2, train_cfg.max_epochs is 1: set it to more',
        ),
        (
            {'optim_wrapper.paramwise_cfg': dict(bias_decay_mult=0.0)},
            'has 1 parameter groups, the config 2',
        ),
        (
            {'param_scheduler': [dict(type='ReduceOnPlateauLR', monitor='x')]},
            'depends on past scores',
        ),
    ],
)
def test_changes_that_cannot_be_resumed_are_errors(tmp_path, options, words):
    train(tmp_path, {'train_cfg.max_epochs': 2})
    before = (tmp_path / 'epoch_2.pth').read_bytes()
    with pytest.raises(InputError, match=words):
        train(tmp_path, options, tmp_path / 'epoch_2.pth')
    assert (tmp_path / 'epoch_2.pth').read_bytes() == before


def test_a_finished_run_ends_at_once(tmp_path, log):
    train(tmp_path)
    assert not steps(train(tmp_path, {}, 'auto'))


def test_a_checkpoint_without_settings_is_resumed(tmp_path):
    """A checkpoint of an earlier version, or of mmengine alone."""
    train(tmp_path / 'a')
    path = tmp_path / 'a' / 'epoch_2.pth'
    saved = torch.load(path, weights_only=False)
    del saved['meta']['settings'], saved['param_schedulers']
    torch.save(saved, path)
    options = {'train_dataloader.batch_size': 2}
    resumed = train(tmp_path / 'a', options, path)
    full = train(tmp_path / 'b', options)
    assert values(resumed, 'lr') == values(full, 'lr', 20)


def test_the_best_checkpoint_of_another_folder_stays(tmp_path):
    (tmp_path / 'a').mkdir()
    train(tmp_path / 'a')
    best = tmp_path / 'a' / 'best_x_epoch_1.pth'
    best.write_text('theirs')
    path = tmp_path / 'a' / 'epoch_2.pth'
    saved = torch.load(path, weights_only=False)
    saved['message_hub']['runtime_info'].update(
        best_ckpt=str(best), best_score=0.5, keep_ckpt_ids=[1, 2]
    )
    torch.save(saved, path)
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / 'epoch_1.pth').write_text('ours')
    other = train(tmp_path / 'b', {}, path)
    info = other.message_hub.runtime_info
    assert info['best_ckpt'] is None and info['best_score'] == 0.5
    assert 'keep_ckpt_ids' not in info
    same = train(tmp_path / 'a', {}, path).message_hub.runtime_info
    assert same['best_ckpt'] == str(best) and same['keep_ckpt_ids'] == [1, 2]


def _rank(rank, port, folder):
    torch.set_num_threads(1)
    os.environ.update(LOCAL_RANK=str(rank))
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    options = {
        'launcher': 'pytorch',
        'train_dataloader.batch_size': 2,
        'optim_wrapper.accumulative_counts': 2,
        'model_wrapper_cfg': dict(
            type='GlooDistributedDataParallel', device_ids=None, broadcast_buffers=False
        ),
    }
    full = train(folder, options).model.module.state_dict()
    dist.barrier()
    resumed = train(folder, options, f'{folder}/epoch_1.pth')
    torch.save((full, resumed.model.module.state_dict()), f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_ranks_resume_between_two_steps(free_port, tmp_path):
    """Each rank has its own gradients, but one writes the checkpoint."""
    mp.start_processes(
        _rank, args=(free_port, str(tmp_path)), nprocs=2, start_method=START
    )
    alone = train(tmp_path / 'alone', {'optim_wrapper.accumulative_counts': 2})
    for rank in range(2):
        full, resumed = torch.load(tmp_path / f'{rank}.pt')
        for key, value in full.items():
            torch.testing.assert_close(resumed[key], value)
            torch.testing.assert_close(resumed[key], alone.model.state_dict()[key])

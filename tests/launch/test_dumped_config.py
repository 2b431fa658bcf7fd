"""A dumped config reproduces its run."""

import runpy
import sys

import pytest
import torch
from mmengine.config import Config

from mmdisco.launch import speed
from mmdisco.launch.smoke import photo_tiles
from tests.tools import ROOT, run

QUICK = 'configs/quickstart/disco.py'
MOCO = 'configs/disco/r50_mbv3.py'
PHOTOS = 'configs/quickstart/own_photos.py'
LINEAR = 'configs/benchmarks/linear_r18.py'


@pytest.fixture
def configure(monkeypatch, tmp_path):
    """Return the config that tools/train.py makes of a command line."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(speed, 'why_no_compiler', lambda: None)
    # only the config matters
    monkeypatch.setattr('mmdisco.launch.smoke.save_random', lambda *_, **__: 0)
    tool = runpy.run_path('tools/train.py', run_name='tool')

    def configure(config, *words):
        monkeypatch.setattr(
            sys,
            'argv',
            [
                'train.py',
                str(config),
                '--work-dir',
                str(tmp_path / 'work'),
                *map(str, words),
            ],
        )
        return tool['configure'](tool['parse_args']())

    return configure


@pytest.mark.parametrize(
    'config, words',
    [
        (MOCO, []),
        (MOCO, ['--amp']),
        (MOCO, ['--speed', 'exact']),
        (
            MOCO,
            [
                '--speed',
                'auto',
                '--auto-scale-lr',
                '--cfg-options',
                'optim_wrapper.accumulative_counts=4',
            ],
        ),
        (MOCO, ['--smoke', '--no-pin-memory', '--no-persistent-workers']),
        (MOCO, ['--smoke', '--speed', 'auto', '--amp']),
        ('configs/baselines/barlowtwins_r18.py', ['--auto-scale-lr']),
        ('configs/comparators/compress_r50_r18.py', ['--smoke']),
        ('configs/baselines/dino_vitt.py', ['--smoke', '--amp']),
        (QUICK, ['--smoke', '--speed', 'exact']),
        (
            QUICK,
            [
                '--cfg-options',
                'val_cfg=None',
                'custom_hooks.6=None',
                'param_scheduler.0=None',
                'train_dataloader.num_workers=0',
                'randomness.seed=7',
            ],
        ),
        (
            PHOTOS,
            [
                '--cfg-options',
                'data_root={tmp}/photos',
                'train_dataloader.batch_size=4',
            ],
        ),
        (LINEAR, ['--student', '{tmp}/student.pth', '--no-validate']),
        (
            LINEAR,
            [
                '--student',
                '{tmp}/student.pth',
                '--auto-scale-lr',
                '--cfg-options',
                'data_root={tmp}/photos',
            ],
        ),
        ('configs/benchmarks/cifar10_r18.py', ['--smoke']),
        ('configs/benchmarks/semi1_r18.py', ['--smoke']),
        ('configs/quickstart/comparators/bingo.py', ['--smoke']),
    ],
)
def test_it_configures_itself_again(configure, tmp_path, config, words):
    """Both without flags and with the same flags."""
    photo_tiles(tmp_path / 'photos', 40, 16)
    (tmp_path / 'student.pth').touch()
    words = [word.format(tmp=tmp_path) for word in words]
    first, notes = configure(config, *words)
    dumped = tmp_path / 'dumped.py'
    first.dump(dumped)
    # the removed entry's index now refers to the next one
    moved = any('.6=None' in word for word in words)
    for again in ([], [] if moved else words):
        second, _ = configure(dumped, *again)
        assert second.to_dict() == first.to_dict()
    # a smoke run is not mistaken for a real one
    assert [note for note in configure(dumped)[1] if 'SMOKE' in note] == [
        note for note in notes if 'SMOKE' in note
    ]


def test_it_trains_at_the_same_rate(tmp_path):
    """Scaled with all accumulated images, including the logged base_lr."""
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = '{ROOT}/configs/quickstart/mocov2.py'\n")
    short = [
        'train_cfg.max_epochs=1',
        'train_dataloader.dataset.stop=16',
        'train_dataloader.batch_size=8',
        'model.queue_len=8',
        'val_cfg=None',
        'default_hooks.logger.interval=1',
        'param_scheduler=None',
        'optim_wrapper.accumulative_counts=4',
        'optim_wrapper.paramwise_cfg.bias_lr_mult=2.',
    ]
    run(
        'python',
        'tools/train.py',
        config,
        '--work-dir',
        tmp_path / 'a',
        '--auto-scale-lr',
        '--cfg-options',
        *short,
    )
    run(
        'python', 'tools/train.py', tmp_path / 'a/mine.py', '--work-dir', tmp_path / 'b'
    )
    rates = []
    for folder in 'ab':
        cfg = Config.fromfile(tmp_path / folder / 'mine.py')
        assert cfg.auto_scale_lr == dict(base_batch_size=256, enable=True)
        (scalars,) = (tmp_path / folder).rglob('scalars.json')
        last = eval(scalars.read_text().splitlines()[-1])
        checkpoint = torch.load(tmp_path / folder / 'epoch_1.pth', weights_only=False)
        groups = {group['lr'] for group in checkpoint['optimizer']['param_groups']}
        rates.append((last['base_lr'], groups))
    rate = 0.12 * 8 * 4 / 256
    for base, groups in rates:
        assert base == pytest.approx(rate)
        assert sorted(groups) == pytest.approx([rate, 2 * rate])

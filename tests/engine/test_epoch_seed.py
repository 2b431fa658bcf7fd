"""Random numbers of an image depend only on seed, epoch, rank and image."""

import pickle
import random
from hashlib import sha256
from timeit import timeit

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmdisco.engine.hooks import epoch_seed as epoch_seed_hook
from mmdisco.engine.hooks.epoch_seed import SeededBatches
from mmdisco.launch.smoke import photo_tiles
from tests.tools import ROOT

NUM, BATCH = 12, 4


@DATASETS.register_module(force=True)
class Drawing(Dataset):
    """Data set of indices and a random number of each generator."""

    metainfo = {}

    def full_init(self):
        """Initialise; wrappers call this."""

    def __len__(self):
        return NUM

    def __getitem__(self, index):
        return dict(
            inputs=torch.tensor(
                [
                    index,
                    random.random(),
                    np.random.rand(),
                    torch.rand(()),
                    random.random(),
                ]
            )
        )


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.weight * torch.rand(()))


class Record(Hook):
    """Record batches by epoch, and the main process's next random numbers."""

    def __init__(self):
        self.batches, self.main = {}, {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        epoch = runner.epoch
        self.batches.setdefault(epoch, []).append(data_batch['inputs'])
        state = torch.get_rng_state()
        self.main[runner.iter] = [float(torch.rand(()))]
        torch.set_rng_state(state)


def train(
    work_dir,
    workers=0,
    epochs=3,
    iters=None,
    resume=None,
    seed=3,
    dataset=None,
    in_main=True,
    by_iter_sampler='InfiniteSampler',
    **loader,
):
    """Train from arbitrary random states; return the record."""
    random.seed(), np.random.seed(), torch.seed()
    record = Record()
    cfg = (
        dict(by_epoch=True, max_epochs=epochs)
        if iters is None
        else dict(by_epoch=False, max_iters=iters)
    )
    sampler = 'DefaultSampler' if iters is None else by_iter_sampler
    if workers:
        loader.setdefault('persistent_workers', False)
    runner = Runner(
        Toy(),
        str(work_dir),
        experiment_name=f'{work_dir}'.replace('/', '_'),
        train_dataloader=dict(
            dataset=dataset or dict(type='Drawing'),
            sampler=dict(type=sampler, shuffle=True),
            num_workers=workers,
            collate_fn=dict(type='default_collate'),
            **{'batch_size': BATCH, **loader},
        ),
        train_cfg=cfg,
        default_scope='mmpretrain',
        log_level='ERROR',
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            epoch_seed=dict(type='EpochSeedHook', without_workers=in_main),
            checkpoint=dict(
                type='CheckpointHook',
                interval=1 if iters is None else 2,
                by_epoch=iters is None,
            ),
        ),
        custom_hooks=[record],
        randomness=dict(seed=seed),
        resume=bool(resume),
        load_from=resume and str(resume),
    )
    runner.train()
    return record


def drawn(record):
    """Return random numbers, [epochs, images, generators], by image index."""
    return torch.stack(
        [rows[rows[:, 0].argsort()] for rows in map(torch.cat, record.batches.values())]
    )


@pytest.fixture(scope='module')
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp('expected')
    return folder, train(folder, workers=2)


def test_epochs_and_images_differ(expected):
    draws = drawn(expected[1])
    assert draws.shape == (3, NUM, 5)
    assert (draws[..., 0] == torch.arange(NUM)).all()
    for generator in draws[..., 1:].flatten(0, 1).T:
        assert len(generator.unique()) == 3 * NUM
    values = list(expected[1].main.values())
    assert len(np.unique(values)) == len(values)


@pytest.mark.parametrize(
    'workers, loader',
    [
        (0, {}),
        (3, dict(prefetch_factor=1)),
        (2, dict(persistent_workers=True, prefetch_factor=5)),
        (1, dict(batch_size=3)),
    ],
)
def test_a_loader_does_not_change_the_draws(workers, loader, expected, tmp_path):
    record = train(tmp_path, workers, **loader)
    assert torch.equal(drawn(record), drawn(expected[1]))


@pytest.mark.parametrize(
    'workers, loader', [(0, {}), (2, {}), (1, dict(persistent_workers=True))]
)
def test_a_resumed_run_draws_as_an_uninterrupted_one(
    workers, loader, expected, tmp_path
):
    record = train(tmp_path, workers, resume=expected[0] / 'epoch_1.pth', **loader)
    assert list(record.batches) == [1, 2]
    assert torch.equal(drawn(record), drawn(expected[1])[1:])
    assert all(expected[1].main[i] == x for i, x in record.main.items())


def test_a_random_seed_is_resumed_with_its_order(tmp_path):
    whole = train(tmp_path, 1, epochs=2, seed=None)
    part = train(tmp_path, 1, epochs=2, seed=None, resume=tmp_path / 'epoch_1.pth')
    assert torch.equal(torch.cat(whole.batches[1]), torch.cat(part.batches[1]))
    assert not torch.equal(drawn(whole), drawn(train(tmp_path, 1, seed=None)))


def test_ranks_differ(expected, tmp_path, monkeypatch):
    monkeypatch.setattr(epoch_seed_hook, 'get_rank', lambda: 1)
    other = train(tmp_path, 2)
    draws = torch.cat([drawn(other), drawn(expected[1])])[..., 1:]
    assert len(draws.unique()) == draws.numel()
    assert not set(map(tuple, other.main.values())) & set(
        map(tuple, expected[1].main.values())
    )


def test_repeated_images_of_an_epoch_get_different_numbers(tmp_path):
    record = train(
        tmp_path,
        2,
        epochs=1,
        dataset=dict(type='RepeatDataset', times=2, dataset=dict(type='Drawing')),
    )
    draws = drawn(record)[0]
    assert draws[:, 0].long().bincount().tolist() == [2] * NUM
    assert len(draws[:, 1:].unique()) == draws[:, 1:].numel()


@pytest.mark.parametrize(
    'sampler, workers',
    [
        ('InfiniteSampler', 0),
        ('InfiniteSampler', 2),
        ('DefaultSampler', 0),
        pytest.param('DefaultSampler', 2, marks=pytest.mark.slow),
    ],
)
def test_loops_of_iterations(sampler, workers, tmp_path, monkeypatch):
    """Three passes over the data, resumed within the second."""
    monkeypatch.setattr('time.sleep', lambda _: None)  # between passes
    options = dict(iters=8, by_iter_sampler=sampler)
    whole = train(tmp_path / 'whole', 1, **options)
    rows = torch.cat(whole.batches[0])
    assert len(rows) == 8 * BATCH
    assert len(rows[:, 1:].unique()) == rows[:, 1:].numel()
    part = train(
        tmp_path / 'part', workers, **options, resume=tmp_path / 'whole' / 'iter_4.pth'
    )
    assert torch.equal(torch.cat(part.batches[0]), rows[4 * BATCH :])
    assert part.main == {i: whole.main[i] for i in range(4, 8)}


def test_without_workers_the_main_process_goes_on(tmp_path):
    """Its generators are unaffected by images, unless without_workers=False."""
    apart, aside = train(tmp_path / 'a'), train(tmp_path / 'b', 2)
    assert apart.main == aside.main
    in_main = train(tmp_path / 'c', in_main=False)
    again = train(tmp_path / 'c', in_main=False, resume=tmp_path / 'c' / 'epoch_2.pth')
    assert in_main.main != apart.main
    assert torch.equal(drawn(in_main)[2:], drawn(again))
    assert not torch.equal(drawn(in_main), drawn(apart))


@pytest.mark.parametrize(
    'config', [pytest.param('mocov2', marks=pytest.mark.slow), 'mocov2_fast']
)
def test_views_of_photos(config, tmp_path):
    """Compare digests of batches of the configs' pipelines."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets' / f'imagenet_{config}.py')
    photo_tiles(tmp_path / 'photos', NUM, size=48)
    dataset = dict(
        cfg.train_dataloader.dataset, data_prefix='', data_root=str(tmp_path / 'photos')
    )
    if dataset['type'] == 'ImageNet':
        dataset.pop('split', None)
        dataset['type'] = 'CustomDataset'

    def digests(record):
        return [
            [
                sha256(pickle.dumps([view.numpy() for view in batch])).hexdigest()
                for batch in batches
            ]
            for batches in record.batches.values()
        ]

    few = [
        digests(train(tmp_path / str(workers), workers, epochs=2, dataset=dataset))
        for workers in (0, 2)
    ]
    assert few[0] == few[1]
    assert len({digest for epoch in few[0] for digest in epoch}) == (2 * NUM // BATCH)


def test_seeds_take_microseconds():
    batches = SeededBatches([list(range(1000))], True)
    batches.begin((1, 2, 3), 0)
    data = DataLoader(range(1000), batch_sampler=batches)
    assert len(data) == 1 and data.batch_sampler.in_main
    assert timeit(lambda: list(next(iter(batches))), number=1) < 0.2

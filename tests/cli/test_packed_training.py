"""Trainings on packed images, of a folder and of a server."""

import os
import shutil
from collections import Counter
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmdisco.apis.packing import pack
from mmdisco.engine.hooks import EpochSeedHook
from tests.cli.test_cli import INTERRUPTED, MAIN, photos, state_of, weights, words
from tests.datasets.shard_server import serving
from tests.tools import run

_ = photos, weights  # fixtures


@pytest.fixture(scope='module')
def packed(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp('packed') / 'out'
    pack(photos, out, copy=True, shard_mb=0.012, workers=0)
    assert len([*out.glob('*.tar')]) > 4
    return out


def assert_equal(one, other, step):
    expected, actual = state_of(one, step), state_of(other, step)
    assert expected.keys() == actual.keys()
    for key, value in expected.items():
        assert torch.equal(value, actual[key]), key


def test_a_training_on_copied_images_is_that_on_the_folder(
    photos, packed, weights, tmp_path
):
    for name, data in (('plain', photos), ('packed', packed)):
        run('python', MAIN, *words(data, weights, tmp_path / name, '--epochs', 1))
    assert_equal(tmp_path / 'plain', tmp_path / 'packed', 6)


@pytest.mark.slow
def test_a_training_on_a_server_resumes_exactly(packed, weights, tmp_path):
    """One run is stopped within an epoch, and its cache is lost."""
    env = dict(MMDISCO_SHARD_CACHE=str(tmp_path / 'cache'))
    script = tmp_path / 'interrupted.py'
    script.write_text(INTERRUPTED)
    with serving(packed) as server:
        whole, broken = tmp_path / 'whole', tmp_path / 'broken'
        # more than twelve steps: the estimate's are not interrupted
        command = words(server.url, weights, whole, '--epochs', 3)
        run('python', MAIN, *command, env=env)
        assert "type='ShardSampler'" in (whole / 'config.py').read_text()
        assert len(server.fetched()) == len({*server.fetched()})
        command = words(server.url, weights, broken, '--epochs', 3)
        done = run('python', script, *command, env=env, check=False)
        assert done.returncode == 130, done.stderr
        shutil.rmtree(tmp_path / 'cache')
        run('python', MAIN, *command, '--resume', env=env)
    assert_equal(whole, broken, 18)


SAMPLERS = [
    dict(type='ShardSampler', window=2),
    dict(type='DefaultSampler', shuffle=True),
]


def read_epochs(rank, port, root, out):
    """Indices that a rank reads with two workers, in two epochs of each sampler."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    torch.distributed.init_process_group('gloo')
    found = []
    for sampler in SAMPLERS:
        loader = Runner.build_dataloader(
            dict(
                dataset=dict(
                    type='Photos',
                    data_root=root,
                    pipeline=[dict(type='LoadPhoto'), dict(type='PackInputs')],
                ),
                batch_size=4,
                num_workers=2,
                sampler=sampler,
                collate_fn=dict(type='pseudo_collate'),
            ),
            seed=7,
        )
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            found.append(
                [
                    sample.sample_idx
                    for batch in loader
                    for sample in batch['data_samples']
                ]
            )
    np.save(out / f'{rank}.npy', np.array(found))
    torch.distributed.destroy_process_group()
    os._exit(0)


@pytest.mark.parametrize('remote', [False, True])
def test_two_ranks_of_two_workers_read_each_image_once(
    packed, tmp_path, free_port, monkeypatch, remote
):
    assert EpochSeedHook  # registers what the loader needs
    monkeypatch.setenv('MMDISCO_SHARD_CACHE', str(tmp_path / 'cache'))
    with serving(packed) as server:
        root = server.url if remote else str(packed)
        processes = [
            get_context('fork').Process(
                target=read_epochs, args=(rank, free_port, root, tmp_path)
            )
            for rank in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        if remote:
            assert len(server.fetched()) == len([*packed.glob('*.tar')])
    parts = [np.load(tmp_path / f'{rank}.npy') for rank in range(2)]
    for epoch in range(4):
        counts = Counter([*parts[0][epoch].tolist(), *parts[1][epoch].tolist()])
        assert counts == Counter(range(24))
    for first in (0, 2):
        assert parts[0][first].tolist() != parts[0][first + 1].tolist()

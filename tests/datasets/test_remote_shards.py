"""Packed images on a server that breaks off, is slow, or lies."""

import os
import threading
import time
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mmdisco.apis.packing import pack
from mmdisco.apis.photos import SkippingPhotos
from mmdisco.datasets import LabelledPhotos, Photos
from mmdisco.datasets.packed import ShardError, open_packed, remote
from mmdisco.datasets.packed.remote import local_copy
from mmdisco.errors import InputError, MissingFileError
from mmdisco.evaluation.sources import open_photos, open_source
from tests.datasets.shard_server import serving

LOAD = [dict(type='LoadPhoto'), dict(type='PackInputs')]
MB = 1e-3  # of the cache, in gigabytes


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Thirty noisy images in two classes, and the same packed in ten shards."""
    root = tmp_path_factory.mktemp('remote')
    rng = np.random.default_rng(0)
    for i in range(30):
        path = root / 'plain' / f'c{i % 2}' / f'{i:02d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (90, 90, 3)).astype(np.uint8)
        Image.fromarray(noise).save(path)
    pack(root / 'plain', root / 'packed', copy=True, shard_mb=0.08, workers=0)
    return root / 'plain', root / 'packed'


@pytest.fixture
def server(folders, tmp_path, monkeypatch):
    monkeypatch.setenv('MMDISCO_SHARD_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(remote, 'PAUSE', 0.001)
    with serving(folders[1]) as server:
        yield server


def assert_same(data, folder, cls=Photos):
    plain = cls(str(folder), pipeline=LOAD)
    assert len(data) == len(plain) == 30
    for i in range(30):
        one, other = data[i], plain[i]
        assert torch.equal(one['inputs'], other['inputs'])
        labels = [item['data_samples'].get('gt_label') for item in (one, other)]
        assert labels[0] == labels[1]


@pytest.mark.parametrize('cls', [Photos, LabelledPhotos])
def test_images_of_a_server_are_those_of_the_folder(folders, server, cls):
    assert_same(cls(server.url, pipeline=LOAD), folders[0], cls)
    names = sorted(p.name for p in folders[1].glob('*.tar'))
    assert len(names) > 4 and sorted(server.fetched()) == names  # each once
    again = cls(server.url + '/', pipeline=LOAD)
    assert_same(again, folders[0], cls)
    assert sorted(server.fetched()) == names


def test_a_transfer_goes_on_where_it_broke_off(folders, server):
    server.breaks = {0: 5000, 1: 70_000, 2: 0}
    data = Photos(server.url, pipeline=LOAD)
    size = (folders[1] / 'shards-000000.tar').stat().st_size
    assert size > 75_000
    local_copy(data.packed.files[0])
    assert [asked for name, asked in server.requests if name.endswith('.tar')] == [
        f'bytes=0-{size - 1}',
        f'bytes=5000-{size - 1}',
        f'bytes=75000-{size - 1}',
        f'bytes=75000-{size - 1}',
    ]
    assert_same(data, folders[0])


def test_errors_of_the_server_and_a_server_without_ranges(folders, server):
    server.statuses = [503, 500, 429, 200]
    server.ranges = False
    server.breaks = {3: 9000}
    assert_same(Photos(server.url, pipeline=LOAD), folders[0])


def test_it_gives_up_after_five_tries_in_one_line(server, monkeypatch):
    data = Photos(server.url, pipeline=LOAD)
    waited = []
    monkeypatch.setattr(time, 'sleep', waited.append)
    server.breaks = {-1: 100}
    with pytest.raises(ShardError, match=r'breaks off at byte 500 of .*5 times: check'):
        data[0]
    assert len(server.fetched()) == 5
    pauses = [seconds for seconds in waited if seconds]
    assert pauses == [0.001, 0.002, 0.004, 0.008]
    # a part of a shard is never taken for it
    assert not [*remote.cache_folder().glob('*.tar')]
    server.breaks = {}
    data[0]
    server.statuses = [403]
    with pytest.raises(ShardError, match='403 Forbidden.*your rights'):
        for i in range(30):
            data[i]


def test_a_server_that_stalls_is_left_and_one_that_is_slow_is_not(server, monkeypatch):
    monkeypatch.setattr(remote, 'TIMEOUT', 0.2)
    server.pause = 0.01  # the shard takes longer than that
    data = Photos(server.url, pipeline=LOAD)
    start = time.perf_counter()
    data[0]
    assert time.perf_counter() - start > 0.2
    assert len(server.fetched()) == 1
    server.pause = 1
    with pytest.raises(ShardError, match='timed out.*5 times'):
        for i in range(30):
            data[i]


def test_a_dead_server_and_a_wrong_address(server, folders):
    with pytest.raises(MissingFileError, match=r"shards.json' does not exist"):
        Photos(f'{server.url}/nowhere')
    data = SkippingPhotos(server.url)
    with pytest.raises(ShardError, match=r'refused.*tried 5 times'):
        server.shutdown()
        server.server_close()
        data[0]
    with pytest.raises(ShardError, match='refused'):
        open_packed(server.url)


def test_another_content_than_the_index_says_is_refused(folders, server, tmp_path):
    wrong = tmp_path / 'wrong'
    wrong.mkdir()
    for path in folders[1].iterdir():
        content = bytearray(path.read_bytes())
        if path.suffix == '.tar':
            content[700] ^= 1
        (wrong / path.name).write_bytes(content)
    server.folder = wrong
    data = Photos(server.url, pipeline=LOAD)
    with pytest.raises(ShardError, match='another content than its index says'):
        data[0]
    assert len(server.fetched()) == 2  # it may have been the transfer


def test_the_cache_is_bounded(folders, server, monkeypatch):
    size = max(p.stat().st_size for p in folders[1].glob('*.tar'))
    monkeypatch.setenv('MMDISCO_SHARD_CACHE_GB', str(2.5 * size / 1e9))
    data = Photos(server.url, pipeline=LOAD)
    for _ in range(2):
        for i in range(30):
            data[i]
            kept = [*remote.cache_folder().glob('*.tar')]
            assert len(kept) <= 2
    assert_same(data, folders[0])
    monkeypatch.setenv('MMDISCO_SHARD_CACHE_GB', str(0.5 * size / 1e9))
    with pytest.raises(ShardError, match='raise MMDISCO_SHARD_CACHE_GB'):
        for i in range(30):
            data[i]
    for text in ('much', '-1', 'nan'):
        monkeypatch.setenv('MMDISCO_SHARD_CACHE_GB', text)
        with pytest.raises(InputError, match=f"is '{text}': set a number"):
            data[0]


def test_a_cache_smaller_than_the_shards_is_said(server, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmdisco.datasets.packed.index.print_log',
        lambda text, **options: lines.append(text),
    )
    open_packed(server.url)
    assert not lines
    monkeypatch.setenv('MMDISCO_SHARD_CACHE_GB', '0.0002')
    open_packed(server.url)
    assert 'unless ShardSampler orders the images' in lines[0]


def test_single_images_without_a_cache(folders, server, monkeypatch):
    monkeypatch.setenv('MMDISCO_SHARD_CACHE_GB', '0')
    server.breaks = {3: 10, 4: 10}
    data = Photos(server.url, pipeline=LOAD)
    assert_same(data, folders[0])
    assert not [*remote.cache_folder().glob('*.tar')]
    asked = [r for name, r in server.requests if name.endswith('.tar')]
    assert len(asked) == 32 and f'bytes={data.packed.start[0]}-' in asked[0]
    server.breaks = {-1: 10}
    with pytest.raises(ShardError):
        data[0]


def test_other_stores_by_fsspec(folders, server):
    """The local file system of fsspec stands for any store."""
    data = Photos(f'file://{folders[1]}', pipeline=LOAD)
    assert_same(data, folders[0])
    assert len([*remote.cache_folder().glob('*.tar')]) == len(data.packed.shards)
    with pytest.raises(MissingFileError, match='does not exist'):
        Photos(f'file://{folders[0]}')
    with pytest.raises(InputError, match='nostore'):
        Photos('nostore://bucket/shards')


def read_all(url, threads):
    data = Photos(url, pipeline=LOAD)
    workers = [
        threading.Thread(target=lambda: [data[i] for i in range(30)])
        for _ in range(threads)
    ]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    os._exit(0 if not any(thread.is_alive() for thread in workers) else 1)


def test_processes_and_threads_fetch_each_shard_once(server):
    server.pause = 0.002
    context = get_context('fork')
    processes = [context.Process(target=read_all, args=(server.url, 2)) for _ in '123']
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(server.fetched()) == len({*server.fetched()})


def test_loader_workers_fetch_each_shard_once(folders, server):
    data = Photos(server.url, pipeline=LOAD)
    plain = Photos(str(folders[0]), pipeline=LOAD)
    loader = DataLoader(data, batch_size=None, num_workers=2, collate_fn=lambda x: x)
    for i, item in enumerate(loader):
        assert torch.equal(item['inputs'], plain[i]['inputs'])
    assert len(server.fetched()) == len(data.packed.shards)


def test_evaluation_reads_a_server(folders, server, tmp_path):
    plain = open_source(str(folders[0]), 'test')
    source = open_source(server.url, 'test')
    assert source.names == plain.names and source.classes == plain.classes
    assert source.labels.tolist() == plain.labels.tolist()
    assert np.array_equal(source[1], plain[1])
    assert open_photos(server.url).names == open_photos(str(folders[0])).names
    for split in ('train', 'val'):
        pack(folders[0], tmp_path / 'both' / split, copy=True, workers=0)
    server.folder = tmp_path / 'both'
    assert len(open_source(server.url, 'test')) == 30
    (tmp_path / 'both' / 'val' / 'shards.json').unlink()
    with pytest.raises(InputError, match="has 'train', but no packed test images"):
        open_source(server.url, 'test')

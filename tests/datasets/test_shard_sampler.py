"""Orders that read each shard once, against the traps of streams of shards."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import DataLoader, Dataset

from mmdisco.datasets import ShardSampler
from mmdisco.datasets.packed import samplers
from mmdisco.errors import InputError


class Images(Dataset):
    """Stands for a data set of packed images; an item is its index."""

    def __init__(self, sizes, seed=0, files=None):
        shard = np.repeat(np.arange(len(sizes)), sizes)
        # packed in a shuffled order: any image may be in any shard
        order = np.random.default_rng(seed).permutation(len(shard))
        self.packed = type('Packed', (), {})()
        self.packed.shard = shard[order]
        self.packed.files = files or [f'{i}.tar' for i in range(len(sizes))]
        self.rows = np.arange(len(shard))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return index


@pytest.fixture
def ranks(monkeypatch):
    """Makes a sampler of each rank."""

    def make(data, world_size, cls=ShardSampler, **options):
        found = []
        for rank in range(world_size):
            for module in (samplers, __import__('mmengine.dataset.sampler').dataset):
                target = getattr(module, 'sampler', module)
                monkeypatch.setattr(target, 'get_dist_info', lambda: (rank, world_size))
            found.append(cls(data, seed=3, **options))
        return found

    return make


SIZES = [[7, 7, 7, 7, 5], [3], [10, 1, 4, 8, 8, 2, 9, 9, 9, 1]]


@pytest.mark.parametrize('sizes', SIZES)
@pytest.mark.parametrize('world_size', [1, 2, 3, 8])
@pytest.mark.parametrize('window', [1, 2, 100])
def test_nothing_is_lost_or_doubled_in_an_epoch(ranks, sizes, world_size, window):
    """Also with fewer shards than ranks, and the last batch is not dropped."""
    data = Images(sizes)
    number = len(data)
    for epoch in range(3):
        every = ranks(data, world_size, window=window)
        for sampler in every:
            sampler.set_epoch(epoch)
        parts = [[*sampler] for sampler in every]
        assert {len(part) for part in parts} == {len(every[0])}
        counts = Counter(i for part in parts for i in part)
        assert sorted(counts) == [*range(number)]
        doubled = sum(counts.values()) - number
        assert doubled == -number % world_size  # as DefaultSampler


@pytest.mark.parametrize('world_size', [1, 2, 3, 8])
def test_an_endless_order_has_each_image_once_per_epoch(ranks, world_size):
    data = Images(SIZES[0])
    every = ranks(data, world_size, infinite=True)
    # after as many epochs as ranks, each rank has read the number of images
    number = len(data)
    parts = [[*islice(iter(sampler), number)] for sampler in every]
    counts = Counter(i for part in parts for i in part)
    assert {*counts.values()} == {world_size}
    if world_size == 1:
        for part in (parts[0][:number],):
            assert sorted(part) == [*range(number)]


@pytest.mark.parametrize('window', [1, 2, 3])
def test_each_shard_is_read_once_and_windows_mix_a_few(ranks, window):
    data = Images([20] * 12)
    for sampler in ranks(data, 2, window=window):
        shards = data.packed.shard[[*sampler]]
        last = {s: i for i, s in enumerate(shards.tolist())}
        first = {s: 119 - i for i, s in enumerate(shards[::-1].tolist())}
        for place in range(len(shards)):
            is_open = sum(first[s] <= place <= last[s] for s in last)
            assert is_open <= window
        assert len(last) == 6  # a half of the shards, no more


def test_orders_differ_between_epochs_ranks_and_seeds(ranks):
    data = Images([20] * 12)
    seen = []
    for epoch in range(4):
        for sampler in ranks(data, 2):
            sampler.set_epoch(epoch)
            seen.append(tuple(sampler))
            assert tuple(sampler) == seen[-1]  # but not of one epoch
    other = ShardSampler(data, seed=4)
    assert len({*seen, tuple(other)}) == 9
    # the shards of a rank, too: they are shuffled before they are divided
    shards = [frozenset(data.packed.shard[list(part)].tolist()) for part in seen[::2]]
    assert len({*shards}) == 4
    orders = [[*dict.fromkeys(data.packed.shard[list(p)].tolist())] for p in seen[::2]]
    assert orders[0] != sorted(orders[0])


def test_loader_workers_do_not_change_the_order():
    data = Images(SIZES[2])
    found = []
    for workers, persistent in ((0, False), (1, False), (3, True), (3, False)):
        sampler = ShardSampler(data, seed=1)
        loader = DataLoader(
            data,
            batch_size=4,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=persistent,
            multiprocessing_context='fork' if workers else None,
        )
        epochs = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            epochs.append([i for batch in loader for i in batch.tolist()])
            assert sorted(epochs[-1]) == [*range(len(data))]
        assert epochs[0] != epochs[1]
        found.append(epochs)
    assert all(each == found[0] for each in found)


@pytest.mark.parametrize('world_size', [1, 2, 3])
@pytest.mark.parametrize('done', [0, 1, 10, 33, 34, 100, 250])
def test_a_resumed_order_goes_on_where_it_was(ranks, world_size, done):
    data = Images(SIZES[0])
    whole = ranks(data, world_size, infinite=True, window=2)
    later = ranks(data, world_size, infinite=True, window=2)
    for one, other in zip(whole, later):
        expected = [*islice(iter(one), done, done + 80)]
        other.skip(done)
        assert [*islice(iter(other), 80)] == expected
    epoch = ranks(data, world_size)[0]
    epoch.set_epoch(5)
    fresh = ranks(data, world_size)[0]
    [fresh.set_epoch(e) or [*fresh] for e in range(5)]
    fresh.set_epoch(5)
    assert [*fresh] == [*epoch]


def test_a_batch_of_class_sorted_images_has_as_many_classes_as_a_true_shuffle(ranks):
    """Images of ten classes, sorted as in folders and packed in a shuffled order."""
    number, batch = 5000, 64
    classes = np.repeat(np.arange(10), number // 10)
    data = Images([250] * 20)

    def mean(sampler):
        order = np.array([*islice(iter(sampler), number)])
        batches = classes[order[: number // batch * batch]].reshape(-1, batch)
        return np.mean([len({*row.tolist()}) for row in batches])

    expected = mean(DefaultSampler(data, seed=0))
    assert expected > 9.9
    for options in (dict(window=1), dict(), dict(infinite=True)):
        assert mean(ShardSampler(data, seed=0, **options)) == pytest.approx(
            expected, abs=0.05
        )
    # what a block of 256 of images in their sorted order has
    blocks = np.concatenate(
        [np.random.default_rng(i).permutation(256) + 256 * i for i in range(19)]
    )
    few = classes[blocks[: 76 * 64]].reshape(-1, 64)
    assert np.mean([len({*row.tolist()}) for row in few]) < 2


def test_map_style_samplers_of_mmengine_work_on_packed_images(ranks):
    """Those are the default for local shards."""
    data = Images(SIZES[2])
    first = islice(iter(InfiniteSampler(data, seed=0)), len(data))
    assert sorted(first) == [*range(len(data))]
    parts = [[*sampler] for sampler in ranks(data, 2, DefaultSampler)]
    assert {*parts[0], *parts[1]} == {*range(len(data))}


def test_the_next_shards_are_fetched_while_the_current_are_read(monkeypatch):
    ahead = []
    monkeypatch.setattr(samplers, 'fetch_ahead', ahead.append)
    data = Images([4] * 6)
    order = [*ShardSampler(data, window=2, seed=0)]
    files = [data.packed.files[s] for s in data.packed.shard[order].tolist()]
    windows = [{*files[:8]}, {*files[8:16]}, {*files[16:]}]
    assert [{*names} for names in ahead] == windows[1:]


def test_arguments_and_data_sets_that_do_not_suit():
    data = Images([3])
    for options in (dict(shuffle=False), dict(window=0)):
        with pytest.raises(InputError, match='window=1 or more'):
            ShardSampler(data, **options)
    with pytest.raises(InputError, match='needs packed images, range reads others'):
        ShardSampler(range(3))
    wrapped = type('Bags', (), dict(dataset=data, __len__=lambda self: 3))()
    assert sorted(ShardSampler(wrapped)) == [0, 1, 2]
    build = DATA_SAMPLERS.build(dict(type='ShardSampler', dataset=data, seed=1))
    assert len(build) == 3

"""Pipelines of a concatenated data set are switched, also in workers."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from mmdet.engine.hooks import PipelineSwitchHook
from mmengine.registry import init_default_scope
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from mmdisco.detection import ConcatPipelineSwitchHook
from mmdisco.utils import worker_start_method

STAGE2 = [dict(type='mmdet.RandomFlip', prob=0.5), dict(type='PackDetInputs')]


class Part(Dataset):
    """A data set with the names of its transforms as images."""

    def __init__(self):
        self.pipeline = SimpleNamespace(transforms=['mosaic'])

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return [
            t if isinstance(t, str) else type(t).__name__
            for t in self.pipeline.transforms
        ]


def epochs(hook, workers, begin=0, end=4):
    """Return the batches of each epoch."""
    init_default_scope('mmdet')
    loader = DataLoader(
        ConcatDataset([Part(), Part()]),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context=worker_start_method(workers),
        persistent_workers=workers > 0,
    )
    runner = SimpleNamespace(train_dataloader=loader, logger=MagicMock())
    for runner.epoch in range(begin, end):
        hook.before_train_epoch(runner)
        seen = list(loader)
        assert len(seen) == 4 and all(image == seen[0] for image in seen)
        yield seen[0]


@pytest.mark.parametrize('workers', [0, 1])
def test_each_part_has_the_other_pipeline_from_the_epoch_on(workers):
    hook = ConcatPipelineSwitchHook(2, STAGE2)
    assert [*epochs(hook, workers)] == [
        ['mosaic'],
        ['mosaic'],
        *[['RandomFlip', 'PackDetInputs']] * 2,
    ]


def test_a_run_that_is_resumed_later_has_it_at_once():
    hook = ConcatPipelineSwitchHook(2, STAGE2)
    assert [*epochs(hook, 0, begin=3)] == [['RandomFlip', 'PackDetInputs']]


def test_mmdets_changes_nothing_here():
    """If this fails, mmdet's hook suffices."""
    assert [*epochs(PipelineSwitchHook(2, STAGE2), 0)] == [['mosaic']] * 4

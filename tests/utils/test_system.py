import multiprocessing
import sys

import pytest
import torch
from torch import nn

from mmdisco.evaluation.features.extract import embed
from mmdisco.utils import worker_start_method

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='does not fork')


@pytest.fixture
def start_by(monkeypatch):
    """Sets the start method, in a Python with another default; undone."""
    before = multiprocessing.get_start_method(allow_none=True)

    def start_by(method, default):
        others = {'fork', 'spawn', 'forkserver'} - {default}
        monkeypatch.setattr(
            multiprocessing, 'get_all_start_methods', lambda: [default, *others]
        )
        multiprocessing.set_start_method(method, force=True)

    yield start_by
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.parametrize('default', ['fork', 'forkserver'])
def test_workers_are_forked_by_default_and_a_choice_is_kept(start_by, default):
    for method in (None, default):
        start_by(method, default)
        assert worker_start_method(2) == 'fork'
        assert worker_start_method(0) is None
    start_by('spawn', default)
    assert worker_start_method(2) is None


def test_workers_read_images_that_cannot_be_pickled(start_by):
    class Images:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return torch.full((1,), i)

    start_by('forkserver', 'forkserver')
    network = nn.Linear(1, 1).double()
    network.forward = lambda x: 2 * x
    found = list(embed(network, Images(), [torch.tensor([2, 0])], num_workers=1))
    assert [(rows.tolist(), x.tolist()) for rows, x in found] == [([2, 0], [[4], [0]])]

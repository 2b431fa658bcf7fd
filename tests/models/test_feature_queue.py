"""The queue of SEED, CompRess and BINGO on several ranks."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mmdisco.models import BINGOLoss, CompRessLoss, SEEDLoss
from mmdisco.models.losses.feature_queue import FeatureQueue
from tests.forkserver import START


def test_what_does_not_fit_is_named():
    with pytest.raises(
        ValueError,
        match=r'enqueue_views=\[2\] are not all '
        r'among views=\[0, 1\]',
    ):
        SEEDLoss(3, 9, views=(0, 1), enqueue_views=(2,))
    with pytest.raises(ValueError, match='not both'):
        CompRessLoss(3, 4, adapter=dict(in_features=4, out_features=3))
    with pytest.raises(ValueError, match='one memory, of the teacher'):
        CompRessLoss(3, queue_len=9)(*torch.randn(3, 2, 3))
    with pytest.raises(ValueError, match='for 3-d features, got 4-d ones'):
        SEEDLoss(3, 9)(*torch.randn(2, 2, 4))
    with pytest.raises(
        ValueError, match='10 images on all ranks does not fit into a queue of 9'
    ):
        SEEDLoss(3, 9)(*torch.randn(2, 10, 3))


def run_steps(rank, world):
    """Losses of this rank's part of each batch, and the queues afterwards."""
    torch.manual_seed(0)
    losses = [SEEDLoss(3, 10), BINGOLoss(3, 10), CompRessLoss(3, 3, 10)]
    values = []
    for _ in range(3):
        batch = torch.randn(3, 8, 3).chunk(world, dim=1)[rank]
        values += [loss(*batch[: 2 + (i > 0)]) for i, loss in enumerate(losses)]
    queues = [
        queue.rows
        for loss in losses
        for queue in loss.modules()
        if isinstance(queue, FeatureQueue)
    ]
    return torch.stack(values), torch.stack(queues)


def _rank(rank, port, path):
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    torch.save(run_steps(rank, 2), f'{path}/{rank}.pt')
    dist.destroy_process_group()


def test_two_ranks_have_the_queues_of_one_process(tmp_path, free_port):
    mp.start_processes(
        _rank, args=(free_port, str(tmp_path)), nprocs=2, start_method=START
    )
    values, queues = run_steps(0, 1)
    first, second = (torch.load(tmp_path / f'{r}.pt') for r in (0, 1))
    torch.testing.assert_close((first[0] + second[0]) / 2, values)
    assert torch.equal(first[1], second[1])
    torch.testing.assert_close(first[1], queues)

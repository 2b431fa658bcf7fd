"""Two ranks give the scores of one process, for any number of images."""

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mmdisco.engine.online import (
    KNNScorer,
    OnlineLoop,
    Probe,
    Sample,
    balanced_indices,
)
from mmdisco.utils import gather_rows
from tests.engine.online_runs import DATASETS, DEMO, model_of
from tests.forkserver import START

TOTALS = (2, 7, 10)


def score():
    """Features, kNN and a probe's weights of odd numbers of images."""
    from types import SimpleNamespace

    model = model_of('MoCo').train()
    data = DATASETS.build(dict(type='IDXImages', data_root=DEMO, stop=200))
    chosen = balanced_indices(data.labels, 58, 3)
    samples = [
        Sample(data, data.labels, part, 4, 0) for part in (chosen[13:], chosen[:13])
    ]
    loop = object.__new__(OnlineLoop)
    loop._runner, loop.samples = SimpleNamespace(model=model), samples
    features = loop.features(model.backbone, model.backbone)
    return features, KNNScorer(k=5).top1(features)


def probe(features, labels, rank, world):
    """Weights after three steps on all ranks' rows."""
    learner = Probe(features.size(1), 10, 0.1, features.device)
    learner.network[0] = torch.nn.Identity()  # no statistics of a batch
    learner.optimizer = torch.optim.SGD(learner.network.parameters(), lr=0.1)
    for _ in range(3):
        learner.step(features[rank::world], labels[rank::world])
    return learner.network[1].weight.detach()


def _rank(rank, port, path):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    for total in TOTALS:
        rows = torch.arange(3.0 * total).view(total, 3)
        assert torch.equal(gather_rows(rows[rank::2], total), rows)
    features, top1 = score()
    weight = probe(features.train[:44], features.train_labels[:44], rank, 2)
    torch.save((tuple(features), top1, weight), f'{path}/{rank}.pth')
    dist.destroy_process_group()


def test_two_ranks_equal_one(free_port, tmp_path):
    mp.start_processes(
        _rank, args=(free_port, str(tmp_path)), nprocs=2, start_method=START
    )
    features, top1 = score()
    weight = probe(features.train[:44], features.train_labels[:44], 0, 1)
    for rank in range(2):
        other, other_top1, other_weight = torch.load(tmp_path / f'{rank}.pth')
        for first, second in zip(features, other):
            torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)
        assert features.train_labels.tolist() == other[1].tolist()
        assert top1 == other_top1 > 20
        torch.testing.assert_close(weight, other_weight)

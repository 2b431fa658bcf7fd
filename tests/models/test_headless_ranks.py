"""CoSS, the divergence and the standardiser on two ranks equal one process."""

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mmdisco.models import CoSSLoss, FeatureStandardizer, QueueKLLoss
from tests.forkserver import START


class Model(nn.Module):
    """A linear student, and each of the losses in turn."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.student = nn.Linear(6, 4)
        self.standardize = FeatureStandardizer(num_images=20, embed_dim=4)
        self.losses = nn.ModuleList([CoSSLoss(), QueueKLLoss(4, 16)])

    def forward(self, x, t, index):
        self.standardize.update(t)
        return self.losses[index](self.student(x), self.standardize(t))


def run(rank, world_size):
    model = core = Model()
    if world_size > 1:
        model = MMDistributedDataParallel(model, find_unused_parameters=False)
    generator = torch.Generator().manual_seed(1)
    results = []
    for step in range(4):
        x, t = (torch.randn(8, d, generator=generator) + 1 for d in (6, 4))
        x, t = (part.chunk(world_size)[rank] for part in (x, t))
        model.zero_grad()
        loss = model(x, t, step % 2)
        loss.backward()
        results.append(core.student.weight.grad.clone())
    assert core.standardize.fixed
    return dict(grads=torch.stack(results), **core.state_dict())


def _rank(rank, port, path):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    torch.save(run(rank, 2), f'{path}/{rank}.pt')
    dist.destroy_process_group()


def test_two_ranks_equal_one_process(tmp_path, free_port):
    mp.start_processes(
        _rank, args=(free_port, str(tmp_path)), nprocs=2, start_method=START
    )
    expected = run(0, 1)
    for rank in (0, 1):
        result = torch.load(tmp_path / f'{rank}.pt')
        for name, value in expected.items():
            if 'rows' in name:  # each rank's own come first, in the order of ranks
                value, result[name] = (
                    part[part[:, 0].argsort()] for part in (value, result[name])
                )
            torch.testing.assert_close(result[name], value, rtol=1e-4, atol=1e-5)
    assert expected['grads'].abs().amax((1, 2)).min() > 1e-3

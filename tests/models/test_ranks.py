"""Two ranks give the losses of one process on the same global batch.

That holds where nothing depends on who shares a batch: no BN statistics of
the batch (the networks keep BN in eval mode). The queue, the momentum encoder
and L_dis, a mean over images, don't care.
"""

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS

from mmdisco.engine.runner import buffer_options
from mmdisco.models import DisCo, FrozenTeacher
from tests.forkserver import START
from tests.models.test_tap import BACKBONE, MLP, TESTBEDS

STEPS, BATCH = 3, 8
OPTIMIZER = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9))


class FrozenNorm(DisCo):
    """BN never uses batch statistics, not even in the momentum encoder."""

    def train(self, mode=True):
        super().train(mode)
        for module in self.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        return self


def build():
    torch.manual_seed(0)
    teacher = FrozenTeacher(MODELS.build(BACKBONE), MODELS.build(MLP))
    ssl = dict(TESTBEDS['MoCo'], backbone=BACKBONE, queue_len=16)
    return FrozenNorm(
        ssl, teacher, dict(type='DisCoLoss', loss_weight=8.0), extra_views=(1,)
    ).train()


def train(model, rank, world_size):
    """Logged losses of each step, and queue and weights at the end."""
    core = getattr(model, 'module', model)
    optim_wrapper = build_optim_wrapper(core, OPTIMIZER)
    generator = torch.Generator().manual_seed(1)
    logged = []
    for _ in range(STEPS):
        views = torch.randn(2, BATCH, 3, 32, 32, generator=generator)
        mine = views.chunk(world_size, dim=1)[rank]
        # the preprocessor normalises nothing without mean and std
        log = model.train_step(
            dict(inputs=list(mine), data_samples=None), optim_wrapper
        )
        logged.append([log['loss_ssl'].item(), log['loss_distill'].item()])
    weights = torch.cat([p.detach().flatten() for p in core.parameters()])
    return torch.tensor(logged), core.ssl.queue.clone(), weights


def _rank(rank, port, path):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    model = MMDistributedDataParallel(build(), **buffer_options())
    torch.save(train(model, rank, 2), f'{path}/{rank}.pt')
    dist.destroy_process_group()


def simclr_gradient(rank, world_size):
    """Loss and gradient of GlobalSimCLR, BN in eval mode."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(TESTBEDS['SimCLR'], type='GlobalSimCLR', backbone=BACKBONE)
    ).eval()
    if world_size > 1:
        model = MMDistributedDataParallel(model)
    core = getattr(model, 'module', model)
    views = torch.randn(2, BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    mine = list(views.chunk(world_size, dim=1)[rank])
    loss = model(mine, None, mode='loss')['loss']
    loss.backward()
    grads = [p.grad.flatten() for p in core.parameters()]
    return torch.cat([loss.detach()[None], *grads])


def _simclr_rank(rank, port, path):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    torch.save(simclr_gradient(rank, 2), f'{path}/{rank}.pt')
    dist.destroy_process_group()


def test_simclr_has_the_gradient_of_one_process(tmp_path, free_port):
    mp.start_processes(
        _simclr_rank, args=(free_port, str(tmp_path)), nprocs=2, start_method=START
    )
    expected = simclr_gradient(0, 1)
    for rank in (0, 1):
        torch.testing.assert_close(
            torch.load(tmp_path / f'{rank}.pt'), expected, rtol=1e-4, atol=1e-5
        )


def test_two_ranks_equal_one_process(tmp_path, free_port):
    mp.start_processes(
        _rank, args=(free_port, str(tmp_path)), nprocs=2, start_method=START
    )
    losses, queue, weights = train(build(), 0, 1)
    first, second = (torch.load(tmp_path / f'{r}.pt') for r in (0, 1))
    close = dict(rtol=1e-4, atol=1e-5)
    torch.testing.assert_close((first[0] + second[0]) / 2, losses, **close)
    for part in (first, second):
        torch.testing.assert_close(part[1], queue, **close)
        torch.testing.assert_close(part[2], weights, **close)
    assert (losses[0] - losses[-1]).abs().min() > 1e-3  # it has learned

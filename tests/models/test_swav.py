"""SwAV's loss equals the public code's on one and two processes."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from sklearn.datasets import load_sample_images

from mmdisco.models import DisCo, DisCoLoss, FrozenTeacher, QueueSwAVLoss
from tests.forkserver import START
from tests.models.test_tap import BACKBONE

GOLDEN = 'tests/data/swav.npz'
CROPS, ROWS, DIM, PROTOTYPES = 8, 6, 16, 12


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def run_steps(case, rank=0):
    """Compare all steps of a case on this rank with the public code's."""
    golden = np.load(GOLDEN)
    world = dist.get_world_size() if dist.is_initialized() else 1
    at = f'world{world}/{case}' + (f'/rank{rank}' if world > 1 else '')
    loss_module = QueueSwAVLoss(
        DIM, num_crops=(2, 6), num_prototypes=PROTOTYPES, queue_len=24 * world
    )
    loss_module.use_queue = case.endswith('_queue')
    distill = DisCoLoss(loss_weight=1 / (2 * CROPS * DIM), norm_teacher=False)
    steps = len({k.split('step')[1][0] for k in golden if k.startswith(f'{at}/step')})
    assert steps == (5 if loss_module.use_queue else 2)
    for step in range(steps):
        here = {
            k.split('/')[-1]: golden[k]
            for k in golden
            if k.startswith(f'{at}/step{step}/')
        }
        with torch.no_grad():
            loss_module.prototypes.weight.copy_(
                torch.from_numpy(golden['prototypes_raw'])
            )
        loss_module.prototypes.weight.grad = None
        raw = torch.from_numpy(golden[f'inputs/rank{rank}/step{step}'])
        raw.requires_grad_()  # [8, 6, 16]
        unit = F.normalize(raw, dim=2)
        loss = loss_module(unit.flatten(0, 1))
        if case.startswith('disco'):
            target = torch.from_numpy(golden[f'teacher/rank{rank}/step{step}'])
            loss = loss + sum(distill(s, t) for s, t in zip(raw, target))
        loss.backward()
        close(loss.item(), here['loss'])
        close(raw.grad, here['grad_inputs'])
        grad = loss_module.prototypes.weight.grad
        if world > 1:
            dist.all_reduce(grad)
            grad /= world
        if 'grad_prototypes' in here:
            close(grad, here['grad_prototypes'])
        if loss_module.use_queue:
            close(loss_module.queue, here['queue_after'])


CASES = [
    f'{way}_{queue}' for way in ('swav', 'disco') for queue in ('noqueue', 'queue')
]


@pytest.mark.parametrize('case', CASES)
def test_one_process_equals_the_public_code(case):
    run_steps(case)


def _rank(rank, port):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    for case in CASES:
        run_steps(case, rank)
    dist.destroy_process_group()


def test_two_ranks_equal_the_public_code(free_port):
    mp.start_processes(_rank, args=(free_port,), nprocs=2, start_method=START)


def crops_of(photos, size, num, generator):
    """Random square parts of photographs, [N, 3, size, size] each."""
    views = []
    for _ in range(num):
        y, x = (
            int(torch.randint(0, 427 - 96, (), generator=generator)) for _ in range(2)
        )
        part = photos[..., y : y + 96, x : x + 96]
        views.append(F.interpolate(part, size=size, mode='area'))
    return views


def test_disco_on_swav_learns():
    """Twenty steps on parts of real photographs, eight crops of each."""
    generator = torch.manual_seed(0)
    photos = torch.tensor(np.stack(load_sample_images().images))
    photos = photos.permute(0, 3, 1, 2) / 255 - 0.5  # [2, 3, 427, 640]
    photos = torch.cat([photos, photos.flip(3), photos.flip(2)])
    ssl = dict(
        type='SwAV',
        backbone=BACKBONE,
        neck=dict(
            type='SwAVNeck',
            in_channels=64,
            hid_channels=32,
            out_channels=16,
            norm_cfg=dict(type='BN1d'),
        ),
        head=dict(
            type='SwAVHead',
            loss=dict(
                type='QueueSwAVLoss', feat_dim=16, num_crops=(2, 6), num_prototypes=12
            ),
        ),
    )
    teacher = FrozenTeacher(
        MODELS.build(BACKBONE),
        MODELS.build(
            dict(
                type='NonLinearNeck',
                in_channels=64,
                hid_channels=32,
                out_channels=16,
                with_last_bn=False,
                norm_cfg=dict(type='BN1d'),
            )
        ),
    )
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    model = DisCo(ssl, teacher, dict(type='DisCoLoss', loss_weight=1.0))
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    seen, logged = [], []
    hook = model.backbone.register_forward_hook(
        lambda _, args, out: seen.append(len(args[0]))
    )
    for _ in range(20):
        views = crops_of(photos, 64, 2, generator) + crops_of(photos, 32, 6, generator)
        losses = model.loss(views)
        logged.append([losses[k].item() for k in ('loss_ssl', 'loss_distill')])
        optimizer.zero_grad()
        (losses['loss_ssl'] + losses['loss_distill']).backward()
        optimizer.step()
    hook.remove()
    assert seen[:2] == [2 * 6, 6 * 6]  # eight student images per sample
    first, last = np.mean(logged[:5], 0), np.mean(logged[-5:], 0)
    assert (last < first).all(), (first, last)
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, before[key]), key

"""The parts of a step on a GPU, each against the plain one in fp32.

Parity with the public implementation: tests/models/test_parity.py.
"""

import copy

import pytest
import torch
import torch.distributed as dist
from mmengine.optim import build_optim_wrapper
from mmpretrain.models import MoCoV2Neck
from torch import nn
from torch.utils.data import DataLoader

from mmdisco.engine import CudaPrefetcher
from mmdisco.models import DisCo, DisCoLoss, FrozenTeacher, InfoNCEHead, LeanMoCo
from mmdisco.models.fast.student import speed_up_student
from tests.engine import toy_runs
from tests.models.toy import ToyBackbone

pytestmark = pytest.mark.gpu
DEVICE = 'cuda'


def disco(**teacher):
    """DisCo on MoCo-v2 with random weights, always the same."""
    torch.manual_seed(0)
    moco = LeanMoCo(
        ToyBackbone(8, 16),
        MoCoV2Neck(16, 32, 8),
        InfoNCEHead(0.2),
        queue_len=16,
        feat_dim=8,
    )
    networks = ToyBackbone(16, 24), MoCoV2Neck(24, 32, 8)
    return DisCo(
        moco, FrozenTeacher(*networks, **teacher), DisCoLoss(), extra_views=(1,)
    ).train()


def views():
    torch.manual_seed(1)
    return [torch.randn(8, 3, 32, 32, device=DEVICE) for _ in range(2)]


def step(model, kind='OptimWrapper', **options):
    """One step of a training; returns the losses."""
    wrapper = build_optim_wrapper(
        model, dict(type=kind, optimizer=dict(type='SGD', lr=0.1), **options)
    )
    torch.manual_seed(2)
    return model.train_step(dict(inputs=views(), data_samples=[]), wrapper)


def moved(model, before):
    """Largest change of a weight of the student."""
    pairs = zip(model.backbone.parameters(), before.backbone.parameters())
    return max((a.detach().cpu() - b.detach()).abs().max().item() for a, b in pairs)


def test_the_student_and_its_hidden_teacher_are_on_the_device(exact_fp32):
    model = disco().to(DEVICE)
    parameters = [*model.parameters(), *model.teacher.parameters()]
    assert {p.device.type for p in parameters} == {DEVICE}
    expected = disco()
    torch.manual_seed(2)
    losses = expected.loss([view.cpu() for view in views()])
    actual = step(model)
    for name in ('loss_ssl', 'loss_distill'):
        torch.testing.assert_close(
            actual[name].cpu(), losses[name], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_a_step_in_half_precision(dtype):
    plain, half = disco().to(DEVICE), disco().to(DEVICE)
    before = disco()
    expected = step(plain)
    actual = step(half, 'AmpOptimWrapper', dtype=dtype, loss_scale=128.0)
    for name in ('loss_ssl', 'loss_distill'):
        assert actual[name].item() == pytest.approx(expected[name].item(), rel=0.05)
    assert moved(half, before) == pytest.approx(moved(plain, before), rel=0.1)


@pytest.mark.parametrize('dtype', ['fp32', 'bf16', 'fp16'])
def test_a_rewritten_and_compiled_step(dtype):
    plain = disco().to(DEVICE)
    fast = disco(fuse=True, dtype=dtype, channels_last=True, compile=True).to(DEVICE)
    speed_up_student(fast, channels_last=True, compile=True)
    expected, actual = step(plain), step(fast)
    tolerance = 1e-3 if dtype == 'fp32' else 0.05
    for name in ('loss_ssl', 'loss_distill'):
        assert actual[name].item() == pytest.approx(
            expected[name].item(), rel=tolerance
        )
    torch.testing.assert_close(
        [*fast.backbone.parameters()],
        [*plain.backbone.parameters()],
        rtol=0.05,
        atol=tolerance,
    )


def test_sync_bn_and_nccl_with_one_rank(free_port, exact_fp32):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(DEVICE)
    same = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))
    dist.init_process_group(
        'nccl', f'tcp://127.0.0.1:{free_port}', rank=0, world_size=1
    )
    try:
        same = nn.parallel.DistributedDataParallel(same, device_ids=[0])
        for model in (plain, same):
            model(views()[0]).square().sum().backward()
        for a, b in zip(plain.parameters(), same.parameters()):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4)
    finally:
        dist.destroy_process_group()


def test_prefetched_batches_are_those_of_the_loader():
    data = list(torch.arange(12.0).view(6, 2))
    loader = DataLoader(data, batch_size=2, pin_memory=True)
    batches = [*CudaPrefetcher(loader, torch.device(DEVICE, 0))]
    assert {batch.device.type for batch in batches} == {DEVICE}
    assert torch.equal(torch.cat(batches).cpu(), torch.stack(data))


def test_a_resumed_run_is_the_same_run(tmp_path):
    whole = toy_runs.train(tmp_path / 'whole')
    rest = toy_runs.train(tmp_path / 'rest', resume=tmp_path / 'whole' / 'epoch_2.pth')
    assert next(whole.model.parameters()).device.type == DEVICE
    assert toy_runs.values(rest, 'lr') == toy_runs.values(whole, 'lr', begin=10)
    for a, b in zip(whole.model.parameters(), rest.model.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)

"""Every recorded number of the public DisCo step, on one and two processes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmpretrain.models import ContrastiveHead, MoCo, MoCoV2Neck

from mmdisco.engine.runner import buffer_options
from mmdisco.models import (
    DisCo,
    DisCoLoss,
    FrozenTeacher,
    LeanMoCo,
    StudentTap,
)
from tests.forkserver import START
from tests.gpu import gpu
from tests.models.toy import ToyBackbone, fill, recipe

DATA = Path(__file__).parents[1] / 'data'
CLOSE = dict(rtol=1e-4, atol=1e-5)
STEPS = 4


def build(norm_mode, testbed=MoCo):
    """Student, momentum encoder, queue and teacher at the goldens' start."""
    backbone = ToyBackbone(8, 16)
    neck = MoCoV2Neck(16, 2048, 128)
    fill(backbone, neck, 'student')
    moco = testbed(
        backbone,
        neck,
        ContrastiveHead(dict(type='CrossEntropyLoss'), temperature=0.2),
        queue_len=64,
        momentum=0.01,
    )
    moco.queue.copy_(torch.nn.functional.normalize(recipe('queue', (128, 64)), dim=0))
    teacher = ToyBackbone(16, 24), MoCoV2Neck(24, 24, 128)
    fill(*teacher, 'teacher')
    # weight 1 on the mean: the test multiplies by the local batch of the sum
    return DisCo(
        moco,
        FrozenTeacher(*teacher, norm_mode=norm_mode),
        DisCoLoss(),
        extra_views=(1,),
    )


def check(actual, expected, what):
    np.testing.assert_allclose(
        actual.detach().cpu().numpy(), expected, err_msg=what, **CLOSE
    )


def check_encoder(backbone, neck, gold, prefix):
    for key, param in backbone.named_parameters():
        check(param, gold[f'{prefix}/{key}'], f'{prefix} {key}')
    for key, param in neck.named_parameters():
        key = key.replace('mlp.', 'fc.')
        if key != 'fc.2.weight':
            check(param, gold[f'{prefix}/{key}'], f'{prefix} {key}')
            continue
        digests = dict(
            rows0to3=param[:4],
            rowsum=param.sum(1),
            rownorm=param.norm(dim=1),
            proj=param @ recipe('digest_vector', (2048,)).to(param.device),
        )
        for name, value in digests.items():
            check(value, gold[f'{prefix}/{key}@{name}'], f'{prefix} {name}')


def check_final(model, gold):
    moco = model.ssl
    check_encoder(moco.backbone, moco.neck, gold, 'final/student')
    check_encoder(*moco.encoder_k.module, gold, 'final/ema')


def step(model, views, size):
    """Forward and backward of (CE + summed squares); returns all values."""
    values = {}
    original = model.ssl.head.loss

    def spy(pos, neg):
        values['logits'] = torch.cat([pos, neg], 1) / 0.2
        return original(pos, neg)

    model.ssl.head.loss = spy
    exit_tap = StudentTap.__exit__

    def record(tap, *args):
        values['embeds'] = [
            torch.nn.functional.normalize(p.embeds, dim=1) for p in tap.records
        ]
        return exit_tap(tap, *args)

    StudentTap.__exit__ = record
    try:
        losses = model.loss(views)
    finally:
        StudentTap.__exit__, model.ssl.head.loss = exit_tap, original
    total = losses['loss_ssl'] + size * losses['loss_distill']
    return losses, total, values


@pytest.mark.parametrize('testbed', [MoCo, LeanMoCo])
@pytest.mark.parametrize('norm_mode', ['eval', 'batch'])
@pytest.mark.parametrize('device', ['cpu', gpu('cuda')])
def test_four_steps_equal_the_public_implementation(
    norm_mode, testbed, device, exact_fp32
):
    name = dict(eval='teacher_eval', batch='teacher_train')[norm_mode]
    gold = np.load(DATA / f'disco_moco_step_{name}.npz')
    model = build(norm_mode, testbed).train().to(device)
    student = [*model.backbone.parameters(), *model.neck.parameters()]
    optimizer = torch.optim.SGD(student, 0.03, momentum=0.9, weight_decay=1e-4)
    for s in range(STEPS):
        key = f'step{s}/'
        views = [torch.from_numpy(gold[key + v]).to(device) for v in ('view1', 'view2')]
        losses, total, values = step(model, views, size=8)
        check(losses['loss_ssl'], gold[key + 'ce'], key + 'ce')
        check(
            8 * losses['loss_distill'],
            gold[key + 'mse_q'] + gold[key + 'mse_k'],
            key + 'mse',
        )
        check(total, gold[key + 'loss'], key + 'loss')
        check(values['logits'], gold[key + 'logits'], key + 'logits')
        for view, (q, t) in enumerate((('q', 'teacher_q'), ('qk', 'teacher_qk'))):
            check(values['embeds'][view], gold[key + q], key + q)
            unit = torch.nn.functional.normalize(model.teacher(views[view]), dim=1)
            check(unit, gold[key + t], key + t)
            check(
                ((values['embeds'][view] - unit) ** 2).sum(),
                gold[key + ('mse_q', 'mse_k')[view]],
                key + 'mse of a view',
            )

        optimizer.zero_grad()
        total.backward()
        check(model.ssl.queue, gold[key + 'queue_after'], key + 'queue')
        assert int(model.ssl.queue_ptr) == int(gold[key + 'ptr_after'][0])
        check(
            model.backbone.conv1.weight.grad,
            gold[key + 'grad_conv1'],
            key + 'grad_conv1',
        )
        for layer in (0, 2):
            check(
                model.neck.mlp[layer].bias.grad,
                gold[f'{key}grad_fc.{layer}.bias'],
                f'{key}grad fc.{layer}',
            )
        optimizer.step()
    check_final(model, gold)
    # the student saw view 1, then view 2; nothing else moved its statistics
    for bn in ('bn1', 'bn2'):
        for stat in ('running_mean', 'running_var'):
            check(
                getattr(getattr(model.backbone, bn), stat),
                gold[f'final/student/{bn}.{stat}'],
                f'{bn}.{stat}',
            )


def _rank(rank, port, fail, testbed):
    moco_module = sys.modules[testbed.__module__]
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    torch.set_num_threads(1)
    try:
        gold = np.load(DATA / 'disco_moco_step_2rank_teacher_train.npz')
        views_of = np.load(DATA / 'disco_moco_step_teacher_train.npz')
        model = build('batch', testbed).train()
        optimizer = torch.optim.SGD(
            [*model.backbone.parameters(), *model.neck.parameters()],
            0.03,
            momentum=0.9,
            weight_decay=1e-4,
        )
        lean = testbed is LeanMoCo  # as tools/train.py --speed has it
        wrapped = torch.nn.parallel.DistributedDataParallel(
            Wrapper(model),
            **buffer_options(),
            static_graph=lean,
            gradient_as_bucket_view=lean,
        )
        shuffle = moco_module.batch_shuffle_ddp
        for s in range(STEPS):
            perm = torch.from_numpy(gold[f'step{s}/shuffle_perm'])

            def recorded(x, perm=perm):
                real = torch.randperm
                torch.randperm = lambda n: perm.clone()
                try:
                    return shuffle(x)
                finally:
                    torch.randperm = real

            moco_module.batch_shuffle_ddp = recorded
            key = f'step{s}/rank{rank}/'
            views = [
                torch.from_numpy(views_of[f'step{s}/{v}'][rank * 4 : rank * 4 + 4])
                for v in ('view1', 'view2')
            ]
            total, losses, embeds = wrapped(views)
            check(losses['loss_ssl'], gold[key + 'ce'], key + 'ce')
            check(
                4 * losses['loss_distill'],
                gold[key + 'mse_q'] + gold[key + 'mse_k'],
                key + 'mse',
            )
            for view, (q, t) in enumerate((('q', 'teacher_q'), ('qk', 'teacher_qk'))):
                check(embeds[view], gold[key + q], key + q)
                check(
                    torch.nn.functional.normalize(model.teacher(views[view]), dim=1),
                    gold[key + t],
                    key + t,
                )
            optimizer.zero_grad()
            total.backward()
            check(model.ssl.queue, gold[f'step{s}/queue_after'], 'queue')
            check(
                model.backbone.conv1.weight.grad,
                gold[f'step{s}/grad_conv1'],
                'grad_conv1',
            )
            optimizer.step()
        check_final(model, gold)
        assert int(model.ssl.queue_ptr) == int(gold['final/ptr'][0])
        if rank == 0:
            check(
                model.backbone.bn1.running_mean,
                gold['final/student/bn1.running_mean'],
                'bn1',
            )
    except BaseException as error:
        fail.put(f'rank {rank}: {error!r}')
        raise
    finally:
        dist.destroy_process_group()


class Wrapper(torch.nn.Module):
    """The module for DDP: the summed loss of the released code."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, views):
        losses, total, values = step(self.model, views, size=4)
        return total, losses, values['embeds']


@pytest.mark.parametrize('testbed', [MoCo, LeanMoCo])
def test_two_ranks_equal_the_public_implementation(free_port, testbed):
    context = mp.get_context(START)
    fail = context.SimpleQueue()
    mp.start_processes(
        _rank, args=(free_port, fail, testbed), nprocs=2, start_method=START
    )
    assert fail.empty()

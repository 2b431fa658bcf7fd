"""DINO and its schedules equal the public implementation's."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmcv.cnn.bricks import DropPath
from mmengine.config import Config
from mmengine.optim import CosineAnnealingLR, LinearLR, build_optim_wrapper
from mmengine.optim.scheduler import CosineAnnealingParamScheduler
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.registry import MODELS

from mmdisco.engine import ClipGradHook, MomentumHook, MomentumTempHook
from mmdisco.models import DINOHead, DINONeck
from tests.forkserver import START
from tests.models.toy import recipe

GOLDEN = 'tests/data/dino_loss.npz'
VIT = dict(
    type='VisionTransformer',
    img_size=32,
    patch_size=8,
    out_type='cls_token',
    drop_path_rate=0.2,
    arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32),
)
DINO = dict(
    type='DINO',
    backbone=VIT,
    neck=dict(type='DINONeck', in_channels=16, hid_channels=12, out_channels=8),
    head=dict(type='DINOHead', in_channels=8, out_channels=10),
    base_momentum=0.1,
)


def close(actual, expected, rtol=1e-5, atol=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def test_loss_gradient_and_centre_equal_the_public_code():
    golden = np.load(GOLDEN)
    crops, epochs = int(golden['ncrops']), golden['epochs_used']
    begin, end = (float(golden[k]) for k in ('warmup_teacher_temp', 'teacher_temp'))
    hook = MomentumTempHook(begin, end, int(golden['warmup_epochs']))
    head = DINOHead(
        8,
        48,
        student_temp=float(golden['student_temp']),
        center_momentum=float(golden['center_momentum']),
    )
    runner = SimpleNamespace(model=head)
    for step, epoch in enumerate(epochs):
        runner.epoch = int(epoch)
        hook.before_train_epoch(runner)
        here = {
            k.split('/')[1]: golden[k] for k in golden if k.startswith(f'step{step}/')
        }
        student = torch.from_numpy(here['student']).requires_grad_()
        loss = head.loss(
            student.chunk(crops), torch.from_numpy(here['teacher']).chunk(2)
        )
        loss.backward()
        close(loss.item(), here['loss'])
        close(student.grad, here['grad_student'])
        close(head.center, here['center_after'])
    temps = []
    for runner.epoch in range(int(golden['nepochs'])):
        hook.before_train_epoch(runner)
        temps.append(head.momentum_temp)
    close(temps, golden['teacher_temp_schedule'])
    runner.epoch = 0
    MomentumTempHook(0.04, 0.07, 0).before_train_epoch(runner)
    assert head.momentum_temp == 0.07
    runner.train_loop = object.__new__(IterBasedTrainLoop)
    with pytest.raises(ValueError, match='counts epochs'):
        hook.before_train(runner)


def test_the_projection_head_equals_the_public_code():
    golden = np.load(GOLDEN)
    width, hidden, bottleneck, out = golden['head/dims'].tolist()
    neck = DINONeck(width, hidden, bottleneck)
    head = DINOHead(bottleneck, out, norm_last_layer=False)
    weight = head.last_layer.parametrizations.weight
    for key, value in zip(golden['head/keys'], golden['head/weight_check']):
        part, _, name = key.rpartition('.')
        param = (
            getattr(weight, f'original{int(name == "weight_v")}')
            if 'last_layer' in part
            else getattr(neck.get_submodule(part), name)
        )
        filled = (
            torch.ones_like(param)
            if name == 'weight_g'  # as initialised
            else recipe(f'head.{key}', tuple(param.shape))
        )
        assert filled.double().sum().item() == pytest.approx(value, abs=1e-4)
        with torch.no_grad():
            param.copy_(filled)
    embeds = neck((torch.from_numpy(golden['head/input']),))[0]
    for actual, key in ((embeds, 'bottleneck_unit'), (head(embeds), 'logits')):
        close(actual.detach(), golden[f'head/{key}'], 1e-4, 1e-5)


def test_the_last_layer_begins_with_rows_of_norm_one():
    for fixed in (True, False):
        head = DINOHead(8, 5, norm_last_layer=fixed)
        close(head.last_layer.weight.detach().norm(dim=1), np.ones(5))
        learn = [p.requires_grad for p in head.parameters()]
        assert learn == [not fixed, True]


def test_the_schedules_equal_the_public_code():
    """Run five epochs of seven iterations in a runner's order."""
    golden, epochs, iters = np.load(GOLDEN), 5, 7
    cfg = Config.fromfile('configs/_base_/schedules/dino_100e.py')
    warmup, cosine, decay = (dict(s) for s in cfg.param_scheduler)
    for scheduler in (warmup, cosine, decay):
        assert scheduler.pop('convert_to_iter_based')
        assert scheduler.pop('type') and scheduler['by_epoch']
    warmup['end'] = cosine['begin'] = 2  # of 5, as in the golden, not 10 of 100
    decayed, plain = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = torch.optim.AdamW(
        [
            dict(params=[decayed], weight_decay=0.04),
            dict(params=[plain], weight_decay=0.0),
        ],
        lr=0.0005,
    )
    common = dict(optimizer=optimizer, epoch_length=iters)
    schedulers = [
        LinearLR.build_iter_from_epoch(**warmup, **common),
        CosineAnnealingLR.build_iter_from_epoch(**cosine, end=epochs, **common),
        CosineAnnealingParamScheduler.build_iter_from_epoch(
            **decay, end=epochs, **common
        ),
    ]
    ema = MODELS.build(dict(DINO))
    runner = SimpleNamespace(model=ema, max_iters=epochs * iters)
    hook = MomentumHook()
    ema.momentum_encoder.momentum = 0.004
    hook.before_train(runner)
    values = []
    wrapper = runner.optim_wrapper = SimpleNamespace(
        _accumulative_counts=1, _inner_count=0
    )
    for step in range(epochs * iters):
        runner.iter = step + 1  # value at the start of the next iteration
        hook.before_train_iter(runner, 0)
        first, second = optimizer.param_groups
        values.append(
            (first['lr'], 1 - ema.momentum_encoder.momentum, first['weight_decay'])
        )
        assert second['weight_decay'] == 0
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    for column, key in zip(zip(*values), ('lr_like', 'momentum', 'wd')):
        close(column, golden[f'sched/{key}'], rtol=1e-4, atol=1e-9)
    # one update for each step of the optimizer
    wrapper._accumulative_counts = 3
    moves = []
    for runner.iter in range(1, 8):
        wrapper._inner_count = runner.iter
        hook.before_train_iter(runner, 0)
        moves.append(ema.momentum_encoder.momentum > 0)
    assert moves == [False, False, True, False, False, True, False]
    wrapper._inner_count, runner.iter = 0, 2 * runner.max_iters
    hook.before_train_iter(runner, 0)  # a cosine would restart
    assert ema.momentum_encoder.momentum == 0
    hook.after_train(runner)
    assert ema.momentum_encoder.momentum == 0.004


def crops(seed, num=4):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(num, 3, size, size, generator=generator)
        for size in (32, 32, 16, 16, 16)
    ]


def test_the_momentum_encoder_follows_and_has_no_drop_path():
    torch.manual_seed(0)
    model = MODELS.build(dict(DINO)).train()
    drops = [
        m.drop_prob for m in model.momentum_encoder.modules() if isinstance(m, DropPath)
    ]
    assert drops and not any(drops)
    assert any(m.drop_prob for m in model.backbone.modules() if isinstance(m, DropPath))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    student = [
        *model.backbone.parameters(),
        *model.neck.parameters(),
        *model.head.parameters(),
    ]
    expected = [p.detach().clone() for p in student]
    for step in range(3):
        if step:  # w <- m w + (1 - m) student, before each forward
            expected = [0.9 * e + 0.1 * p.detach() for e, p in zip(expected, student)]
        loss = model.loss(crops(step))['loss']
        for e, p in zip(expected, model.momentum_encoder.parameters()):
            close(p, e)
            assert not p.requires_grad
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_too_few_views_and_other_widths_are_named():
    with pytest.raises(ValueError, match='8-d embeddings, head.in_channels is 4'):
        MODELS.build(dict(DINO, head=dict(DINO['head'], in_channels=4)))
    model = MODELS.build(dict(DINO))
    with pytest.raises(ValueError, match='1 views, global_crops=2'):
        model.loss(crops(0)[:1])


def test_each_gradient_is_clipped_by_its_own_norm():
    params = [torch.nn.Parameter(torch.zeros(3)) for _ in range(3)]
    wrapper = build_optim_wrapper(
        torch.nn.ParameterList(params), dict(optimizer=dict(type='SGD', lr=1.0))
    )
    hook = ClipGradHook(max_norm=2.0)
    hook.before_train(SimpleNamespace(optim_wrapper=wrapper))
    params[0].grad = torch.tensor([3.0, 4.0, 0.0])
    params[1].grad = torch.tensor([0.3, 0.4, 0.0])
    wrapper.optimizer.step()  # the third has none
    close(params[0].detach(), [-1.2, -1.6, 0])
    close(params[1].detach(), [-0.3, -0.4, 0])
    close(params[2].detach(), np.zeros(3))
    hook.after_train(None)
    assert not wrapper.optimizer._optimizer_step_pre_hooks


def run_head(rank, world):
    """Loss and centre after two steps, on this rank's rows."""
    head = DINOHead(4, 6)
    for step in range(2):
        generator = torch.Generator().manual_seed(step)
        student = torch.randn(3, 8, 6, generator=generator)
        momentum = torch.randn(2, 8, 6, generator=generator)
        rows = slice(rank * 8 // world, (rank + 1) * 8 // world)
        loss = head.loss(student[:, rows].unbind(), momentum[:, rows].unbind())
    return torch.cat([loss[None], head.center[0]])


def _rank(rank, port, path):
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    torch.save(run_head(rank, 2), f'{path}/{rank}.pt')
    dist.destroy_process_group()


def test_two_ranks_share_a_centre(tmp_path, free_port):
    mp.start_processes(
        _rank, args=(free_port, str(tmp_path)), nprocs=2, start_method=START
    )
    first, second = (torch.load(tmp_path / f'{r}.pt') for r in (0, 1))
    close((first + second) / 2, run_head(0, 1))
    assert torch.equal(first[1:], second[1:])

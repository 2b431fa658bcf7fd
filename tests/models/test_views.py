"""Feature maps, single views, and students without a task of their own."""

from copy import deepcopy

import pytest
import torch
from mmpretrain.registry import MODELS

from mmdisco.models import (
    ATLoss,
    BINGOLoss,
    CompRessLoss,
    DisCo,
    DisCoLoss,
    DistillLoss,
    FrozenTeacher,
    KDLoss,
    RKDLoss,
)
from mmdisco.models.tap import MapRecorder
from tests.models.test_disco import EVAL
from tests.models.test_tap import MLP, TESTBEDS


class Maps(DistillLoss):
    """A loss that records its inputs."""

    on = 'feat'

    def __init__(self, views=None):
        super().__init__(views=views)
        self.calls = []

    def forward(self, student, teacher):
        self.calls.append((student, teacher))
        return sum((s.mean() - t.mean()).square() for s, t in zip(student, teacher))


def stages(backbone, images):
    """The outputs of a ResNet's four stages."""
    x = backbone.maxpool(backbone.relu(backbone.norm1(backbone.conv1(images))))
    maps = []
    for name in ('layer1', 'layer2', 'layer3', 'layer4'):
        x = getattr(backbone, name)(x)
        maps.append(x)
    return maps


@pytest.mark.parametrize('name, extra', [('MoCo', (1,)), ('SimCLR', ())])
@pytest.mark.parametrize('options', [dict(), dict(fuse=True)])
def test_maps_are_those_of_the_stages_of_each_view(name, extra, options):
    torch.manual_seed(0)
    views = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP), **options)
    expected = [stages(teacher.backbone, view) for view in views]
    maps = Maps()
    model = DisCo(
        dict(TESTBEDS[name], backbone=EVAL),
        teacher,
        [maps, DisCoLoss()],
        extra_views=extra,
    ).eval()
    losses = model.loss(list(views))
    assert len(maps.calls) == 2
    for view, target, (student, frozen) in zip(views, expected, maps.calls):
        assert [m.shape[2] for m in student] == [16, 8, 4, 2]
        for m, e in zip(student, stages(model.backbone, view)):
            torch.testing.assert_close(m, e, rtol=1e-4, atol=1e-5)
        for m, e in zip(frozen, target):
            assert not m.requires_grad
            torch.testing.assert_close(m, e, rtol=1e-3, atol=1e-4)
    losses['loss_distill_0_Maps'].backward()
    assert model.backbone.conv1.weight.grad.abs().sum() > 0
    assert not model.backbone.layer1._forward_hooks


@pytest.mark.parametrize(
    'backbone, sizes',
    [
        (dict(type='MobileNetV3Pooled'), [16, 8, 4, 2]),
        (dict(type='EfficientNet', arch='b0'), [16, 8, 4, 2]),
    ],
)
def test_sizes_are_alike_in_other_networks(backbone, sizes):
    network = MODELS.build(backbone)
    network.eval()
    with MapRecorder(network) as recorder, torch.no_grad():
        network(torch.zeros(1, 3, 64, 64))
        assert [m.shape[2] for m in recorder.take()] == sizes
        assert recorder.take() == ()


def test_a_plain_student_learns_what_is_distilled_and_no_more():
    torch.manual_seed(0)
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP))
    views = [torch.randn(3, 3, 32, 32) for _ in range(2)]
    ssl = dict(type='PlainStudent', backbone=EVAL, neck=MLP)
    model = DisCo(ssl, teacher, DisCoLoss())
    names = {key.split('.')[1] for key, _ in model.named_parameters()}
    assert names == {'backbone', 'neck'}
    loss, logged = model.parse_losses(model.loss(list(views)))
    assert 'loss_ssl' not in logged
    expected = (
        2
        - 2
        * torch.cosine_similarity(
            model.neck(model.backbone(views[0]))[0], teacher(views[0])
        )
    ).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_maps_alone_leave_no_parameter_without_a_gradient():
    torch.manual_seed(0)
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP))
    ssl = dict(type='PlainStudent', backbone=EVAL, neck=MLP)
    model = DisCo(ssl, teacher, ATLoss())
    model.loss([torch.randn(3, 3, 64, 64)])['loss_distill'].backward()
    learn = {k: p for k, p in model.named_parameters() if p.requires_grad}
    assert learn and all(p.grad is not None for p in learn.values())
    assert not any('neck' in key for key in learn)
    with pytest.raises(ValueError, match='KDLoss learns from labels'):
        DisCo(ssl, teacher, KDLoss())


def test_a_bag_takes_two_views_of_the_student_and_one_of_the_teacher():
    torch.manual_seed(0)
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP))
    views = [torch.randn(3, 3, 64, 64) for _ in range(3)]
    ssl = dict(type='PlainStudent', backbone=EVAL, neck=MLP, views=(0, 2))
    bingo = BINGOLoss(embed_dim=8, queue_len=6)
    twin = deepcopy(bingo)
    model = DisCo(ssl, teacher, bingo).eval()
    anchor, member = (model.neck(model.backbone(views[v]))[0] for v in (0, 2))
    target = teacher(views[1])
    shown = []
    teacher.backbone.register_forward_pre_hook(lambda _, args: shown.append(args[0]))
    losses = model.loss(list(views))
    torch.testing.assert_close(
        losses['loss_distill'], twin(anchor, target, member), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(
        losses['cosine'],
        torch.cosine_similarity(anchor, target).mean(),
        rtol=1e-4,
        atol=1e-5,
    )
    assert len(shown) == 1 and torch.equal(shown[0], views[1])
    model.ssl.views = (0, 1)
    with pytest.raises(
        ValueError,
        match='BINGOLoss needs the views 0 and 2 of the student, which embeds '
        r'\[0, 1\]',
    ):
        model.loss(list(views))


def test_the_student_memory_is_of_the_moving_average():
    torch.manual_seed(0)
    pool = dict(type='GlobalAveragePooling')
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(pool))
    ssl = dict(type='MomentumStudent', backbone=EVAL, neck=pool, momentum=0.25)
    model = DisCo(ssl, teacher, CompRessLoss(64, 64, queue_len=12))
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    average = deepcopy(model.backbone)
    memory = model.distill[0].student_memory
    for step in range(3):
        images = torch.randn(4, 3, 64, 64)
        for old, new in zip(average.parameters(), model.backbone.parameters()):
            old.data = 0.75 * old.data + 0.25 * new.data if step else new.data.clone()
        model.loss([images])['loss_distill'].backward()
        optimizer.step()
        optimizer.zero_grad()
        expected = average(images)[0].mean((2, 3))
        expected = expected / expected.norm(dim=1, keepdim=True)
        torch.testing.assert_close(
            memory.rows[4 * step : 4 * step + 4],
            expected.detach(),
            rtol=1e-4,
            atol=1e-5,
        )
    learn = dict(model.named_parameters())
    assert all(p.requires_grad is ('momentum' not in k) for k, p in learn.items())


def test_other_widths_have_no_cosine():
    torch.manual_seed(0)
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP))
    wide = dict(
        TESTBEDS['SimCLR'],
        backbone=EVAL,
        neck=dict(TESTBEDS['SimCLR']['neck'], out_channels=12),
    )
    losses = DisCo(wide, teacher, RKDLoss()).loss(
        [torch.randn(3, 3, 64, 64) for _ in range(2)]
    )
    assert 'cosine' not in losses and 'embed_std' in losses


def test_a_loss_of_some_views_sees_these_alone():
    torch.manual_seed(0)
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP))
    views = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    ssl = dict(type='PlainStudent', backbone=EVAL, neck=MLP, views=(0, 1))
    maps = Maps(views=(1,))
    model = DisCo(ssl, teacher, maps).eval()
    model.loss(list(views))
    assert len(maps.calls) == 1
    torch.testing.assert_close(
        maps.calls[0][0][-1], stages(model.backbone, views[1])[-1]
    )
    maps.views = (2,)
    with pytest.raises(
        ValueError,
        match=r'Maps is for the views \[2\], the student embeds \[0, 1\]',
    ):
        model.loss(list(views))

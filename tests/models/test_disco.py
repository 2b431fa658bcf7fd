import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.registry import MODELS

from mmdisco.models import DisCo, DisCoLoss, FrozenTeacher
from tests.models.test_tap import BACKBONE, MLP, TESTBEDS

EVAL = dict(BACKBONE, norm_eval=True)


def build(name='MoCo', extra_views=(1,), **kwargs):
    torch.manual_seed(0)
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP))
    kwargs.setdefault('distill', dict(type='DisCoLoss', loss_weight=32.0))
    return DisCo(
        dict(TESTBEDS[name], backbone=EVAL), teacher, extra_views=extra_views, **kwargs
    )


@pytest.fixture
def views():
    torch.manual_seed(1)
    return [torch.randn(4, 3, 32, 32) for _ in range(2)]


def test_the_teacher_is_invisible():
    model = build()
    teacher = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    assert not any('teacher' in key for key in model.state_dict())
    assert {id(p) for p in model.parameters()} == {
        id(p) for p in model.ssl.parameters()
    }
    optimizer = build_optim_wrapper(
        model, dict(optimizer=dict(type='SGD', lr=0.1))
    ).optimizer
    held = {id(p) for g in optimizer.param_groups for p in g['params']}
    assert not held & {id(p) for p in model.teacher.parameters()}
    model.init_weights()
    model.train()
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, teacher[key]), key
    assert not any(m.training for m in model.teacher.modules())
    model.double()
    assert model.teacher.neck.mlp[0].weight.dtype == torch.float64


@pytest.mark.parametrize('name, extra', [('MoCo', (1,)), ('SimCLR', ())])
def test_losses_equal_a_plain_computation(views, name, extra):
    model = build(name, extra, ssl_weight=0.5).train()
    model.ssl.neck.eval()
    student = [model.neck(model.backbone(v))[0].detach() for v in views]
    if name == 'MoCo':  # the queue of the first step, before it is changed
        queue = model.ssl.queue.clone()
    losses = model.loss(list(views))
    expected = 0.0
    for s, view in zip(student, views):
        t = model.teacher(view)
        for a, b in zip(s, t):
            expected += 32 * ((a / a.norm() - b / b.norm()) ** 2).sum() / 4
    torch.testing.assert_close(losses['loss_distill'], expected, rtol=1e-4, atol=1e-4)
    assert set(losses) == {'loss_ssl', 'loss_distill', 'cosine', 'embed_std'}
    unit = torch.cat([s / s.norm(dim=1, keepdim=True) for s in student])
    cosines = [
        torch.dot(a / a.norm(), b / b.norm())
        for s, v in zip(student, views)
        for a, b in zip(s, model.teacher(v))
    ]
    assert losses['cosine'].item() == pytest.approx(
        sum(cosines).item() / len(cosines), abs=1e-4
    )
    assert losses['embed_std'].item() == pytest.approx(
        unit.numpy().std(0, ddof=1).mean(), rel=1e-4
    )
    if name == 'MoCo':
        q = student[0] / student[0].norm(dim=1, keepdim=True)
        k = student[1] / student[1].norm(dim=1, keepdim=True)
        total = 0.0
        for a, b in zip(q, k):  # keys: the encoder is a copy in step one
            logits = torch.cat([(a @ b)[None], a @ queue]) / 0.1
            total -= torch.log_softmax(logits, 0)[0] / 4
        torch.testing.assert_close(
            losses['loss_ssl'], 0.5 * total, rtol=1e-4, atol=1e-4
        )


def test_several_losses_are_summed_under_names_of_their_own(views):
    model = build(distill=[DisCoLoss(1.0), dict(type='DisCoLoss')])
    losses = model.loss(views)
    first, second = (losses[f'loss_distill_{i}_DisCo'] for i in (0, 1))
    torch.testing.assert_close(first, second)
    total, logged = model.parse_losses(losses)
    torch.testing.assert_close(total, losses['loss_ssl'] + first + second)
    assert logged['loss'] == total


def test_a_preprocessor_from_outside_becomes_the_testbeds():
    model = build(data_preprocessor=dict(mean=[1.0] * 3, std=[2.0] * 3))
    assert isinstance(model.data_preprocessor, SelfSupDataPreprocessor)
    assert model.data_preprocessor is model.ssl.data_preprocessor
    out = model.data_preprocessor(
        dict(inputs=torch.full((1, 3, 2, 2), 5.0), data_samples=None)
    )
    assert out['inputs'].unique().tolist() == [2.0]
    given = SelfSupDataPreprocessor()
    assert build(data_preprocessor=given).ssl.data_preprocessor is given


def test_faults_are_named_at_construction(views):
    wide = dict(
        TESTBEDS['MoCo'], backbone=EVAL, feat_dim=16, neck=dict(MLP, out_channels=16)
    )
    teacher = build().teacher
    with pytest.raises(
        ValueError,
        match='8-d embeddings, the student 16-d: set model.ssl.neck.out_channels to 8',
    ):
        DisCo(wide, teacher, DisCoLoss())
    with pytest.raises(TypeError, match='ssl must be a config dict .* str'):
        DisCo('MoCo', teacher, DisCoLoss())
    with pytest.raises(ValueError, match='MAE has no neck'):
        DisCo(
            type(
                'MAE',
                (torch.nn.Module,),
                dict(backbone=torch.nn.Identity(), data_preprocessor=None),
            )(),
            teacher,
            DisCoLoss(),
        )
    with pytest.raises(RuntimeError, match='Invalid mode'):
        build()(views, mode='predict')


def test_another_width_wants_an_adapter(views):
    wide = dict(
        TESTBEDS['MoCo'], backbone=EVAL, feat_dim=16, neck=dict(MLP, out_channels=16)
    )
    adapter = dict(in_features=16, out_features=8)
    model = DisCo(
        wide, build().teacher, dict(type='DisCoLoss', adapter=adapter), extra_views=(1,)
    ).eval()
    expected, cosines = 0.0, []
    layer = model.distill[0].adapter
    for view in views:
        student = model.neck(model.backbone(view))[0]
        adapted = student @ layer.weight.T + layer.bias
        for a, b in zip(adapted, model.teacher(view)):
            expected += ((a / a.norm() - b / b.norm()) ** 2).sum() / 4
            cosines.append((a @ b / a.norm() / b.norm()).item())
    losses = model.loss(list(views))
    torch.testing.assert_close(losses['loss_distill'], expected)
    assert losses['cosine'].item() == pytest.approx(sum(cosines) / 8, rel=1e-4)
    losses['loss_distill'].backward()
    assert layer.weight.grad.abs().sum() > 0
    held = [
        p
        for g in build_optim_wrapper(
            model, dict(optimizer=dict(type='SGD', lr=0.1))
        ).optimizer.param_groups
        for p in g['params']
    ]
    assert any(p is layer.weight for p in held)
    with pytest.raises(
        ValueError,
        match='adapter goes from 4 to 8, but the '
        'student gives 16-d embeddings and the teacher 8-d',
    ):
        DisCo(wide, model.teacher, DisCoLoss(adapter=dict(adapter, in_features=4)))
    with pytest.raises(ValueError, match='takes in_features and out_features'):
        DisCoLoss(adapter=[16, 8])
    hint = (
        'model.distill.1.adapter.in_features=16 and '
        'model.distill.1.adapter.out_features=8'
    )
    with pytest.raises(ValueError, match=hint):
        DisCo(wide, model.teacher, [DisCoLoss(adapter=adapter), DisCoLoss()])


def test_only_global_crops_are_distilled_on_request(views):
    views = [*views, *(torch.randn(4, 3, 16, 16) for _ in range(2))]
    shapes = []

    def run(crops):
        model = build(extra_views=(1, 2, 3), distill_crops=crops).eval()
        model.teacher.backbone.register_forward_hook(
            lambda _, args, out: shapes.append(tuple(args[0].shape))
        )
        loss = model.loss(list(views))['loss_distill'] / 32
        pairs = [
            (model.neck(model.backbone(v))[0], model.teacher(v))
            for v in (views if crops == 'all' else views[:2])
        ]
        expected = sum((2 - 2 * torch.cosine_similarity(s, t)).mean() for s, t in pairs)
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)

    run('global')
    assert {shape[2] for shape in shapes} == {32}
    run('all')
    assert {shape[2] for shape in shapes} == {16, 32}
    with pytest.raises(ValueError, match="'all' or 'global', got 'some'"):
        build(distill_crops='some')


def test_a_teacher_of_other_images_gets_its_own():
    """The teacher gets images as if they had been normalised for it."""
    pictures = torch.randint(0, 256, (2, 4, 3, 32, 32)).float()
    statistics = dict(mean=[127.5] * 3, std=[128.0, 64.0, 32.0])
    torch.manual_seed(0)
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP), **statistics)
    plain = FrozenTeacher(teacher.backbone, teacher.neck)
    ssl = dict(TESTBEDS['SimCLR'], backbone=EVAL)
    assert not teacher.state_dict().keys() - plain.state_dict().keys()
    model = DisCo(
        ssl,
        teacher,
        DisCoLoss(),
        data_preprocessor=dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 55.0]),
    )
    student = model.data_preprocessor(dict(inputs=list(pictures), data_samples=None))[
        'inputs'
    ]
    mean, std = (torch.tensor(statistics[k]).view(3, 1, 1) for k in ('mean', 'std'))
    for images, picture in zip(student, pictures):
        expected = plain((picture - mean) / std)
        torch.testing.assert_close(teacher(images), expected, rtol=1e-3, atol=1e-4)
    # another student with the teacher's own normalisation
    DisCo(ssl, teacher, DisCoLoss(), data_preprocessor=dict(statistics))
    torch.testing.assert_close(teacher(images), plain(images))
    with pytest.raises(ValueError, match='preprocessor normalises none'):
        DisCo(ssl, teacher, DisCoLoss(), data_preprocessor=dict())
    for mean, std, words in (
        ([1.0] * 3, None, 'set both, or none'),
        ([1.0] * 2, [1.0] * 2, 'three channels'),
        ([1.0] * 3, [1.0, 0.0, 1.0], 'std above 0'),
    ):
        with pytest.raises(ValueError, match=words):
            FrozenTeacher(plain.backbone, plain.neck, mean=mean, std=std)


def test_the_algorithms_settings_are_read_and_written_through():
    """DenseCLHook does so with loss_lambda."""
    model = build()
    assert model.queue_len == 8
    model.queue_len = 4
    assert model.ssl.queue_len == 4 and 'queue_len' not in vars(model)
    model.ssl_weight, model.setting = 0.5, 1
    assert not hasattr(model.ssl, 'ssl_weight')
    assert not hasattr(model.ssl, 'setting')
    ssl = MODELS.build(dict(TESTBEDS['MoCo'], backbone=EVAL))
    ssl.ssl_weight = 3.0  # an algorithm with an attribute of that name
    model = DisCo(ssl, model.teacher, DisCoLoss(), ssl_weight=0.5)
    assert (model.ssl_weight, ssl.ssl_weight) == (0.5, 3.0)
    with pytest.raises(AttributeError, match='DisCo.*nothing'):
        _ = model.nothing
    model.eval()
    assert not model.training and not model.ssl.training


def test_features_are_those_of_the_students_backbone(views):
    model = build().eval()
    torch.testing.assert_close(model(views[0])[-1], model.ssl.backbone(views[0])[-1])

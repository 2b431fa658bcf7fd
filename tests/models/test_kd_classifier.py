"""KD of a classifier on a frozen student: loss, gradient, frozen parts."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from sklearn.metrics import accuracy_score
from torch import nn

from mmdisco.models import FrozenClassifier, KDClassifier

CLASSES = 5
BACKBONE = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
TEACHER = dict(type='ResNet', depth=18, stem_channels=8, base_channels=16)
NECK = dict(type='GlobalAveragePooling')
DISTILL = dict(type='KDLoss', temperature=3.0, alpha=0.3, reduction='mean')


def head(width, classes=CLASSES):
    return dict(
        type='LinearClsHead',
        num_classes=classes,
        in_channels=width,
        init_cfg=dict(type='Normal', layer='Linear', std=0.3),
    )


def random_state(cfg, prefix):
    """Random weights and running statistics of a network."""
    init_default_scope('mmpretrain')
    module = MODELS.build(cfg)
    module.init_weights()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
    return {f'{prefix}.{k}': v for k, v in module.state_dict().items()}


@pytest.fixture
def teacher_file(tmp_path):
    torch.manual_seed(0)
    state = {**random_state(TEACHER, 'backbone'), **random_state(head(128), 'head')}
    path = tmp_path / 'linear.pth'
    torch.save(dict(state_dict=state, meta={}), path)
    return str(path)


def teacher_config(path, **kwargs):
    return dict(
        type='FrozenClassifier',
        backbone=TEACHER,
        neck=NECK,
        head=head(128),
        checkpoint=path,
        **kwargs,
    )


@pytest.fixture
def model(teacher_file):
    torch.manual_seed(1)
    built = KDClassifier(
        BACKBONE, NECK, head(64), teacher_config(teacher_file), DISTILL
    )
    built.load_state_dict(
        {**random_state(BACKBONE, 'backbone'), **random_state(head(64), 'head')}
    )
    return built


@pytest.fixture
def batch():
    torch.manual_seed(2)
    labels = [3, 0, 1, 4, 1, 2]
    return (
        torch.randn(6, 3, 32, 32),
        [DataSample().set_gt_label(y) for y in labels],
        labels,
    )


def plain_features(cfg, state, images):
    """Pooled features of a network in eval mode, [N, D]."""
    backbone = MODELS.build(cfg)
    backbone.eval()  # mmpretrain's returns None
    backbone.load_state_dict(
        {
            k.removeprefix('backbone.'): v
            for k, v in state.items()
            if k.startswith('backbone.')
        }
    )
    with torch.no_grad():
        return backbone(images)[-1].mean((2, 3))


def plain_logits(cfg, state, images):
    feats = plain_features(cfg, state, images)
    return feats @ state['head.fc.weight'].T + state['head.fc.bias']


def softmax(row, temperature=1.0):
    powers = [math.exp(v / temperature) for v in row]
    return [p / sum(powers) for p in powers]


def test_loss_is_that_of_plain_networks(model, teacher_file, batch):
    images, samples, labels = batch
    student = plain_logits(BACKBONE, model.state_dict(), images)
    teacher = plain_logits(TEACHER, torch.load(teacher_file)['state_dict'], images)
    expected = 0.0
    for s, t, label in zip(student.tolist(), teacher.tolist(), labels):
        expected += (
            0.3
            * 9
            / (6 * CLASSES)
            * sum(p * math.log(p / q) for p, q in zip(softmax(t, 3), softmax(s, 3)))
        )
        expected -= 0.7 / 6 * math.log(softmax(s)[label])
    model.train()
    result = model(images, samples, mode='loss')
    assert result['loss'].item() == pytest.approx(expected, rel=1e-4)
    for name, logits in (('student', student), ('teacher', teacher)):
        assert result[f'{name}_acc'].item() == pytest.approx(
            100 * accuracy_score(labels, logits.argmax(1))
        )
    total, _ = model.parse_losses(result)
    assert total.item() == result['loss'].item()  # the log adds nothing


def test_the_classifier_alone_gets_a_gradient(model, teacher_file, batch):
    """The gradient is (share of KL + share of CE) times features."""
    images, samples, labels = batch
    feats = plain_features(BACKBONE, model.state_dict(), images)
    student = plain_logits(BACKBONE, model.state_dict(), images)
    teacher = plain_logits(TEACHER, torch.load(teacher_file)['state_dict'], images)
    weight, bias = torch.zeros(CLASSES, 64), torch.zeros(CLASSES)
    for f, s, t, label in zip(feats, student.tolist(), teacher.tolist(), labels):
        for c in range(CLASSES):
            slope = 0.3 * 3 / (6 * CLASSES) * (softmax(s, 3)[c] - softmax(t, 3)[c])
            slope += 0.7 / 6 * (softmax(s)[c] - (c == label))
            weight[c] += slope * f
            bias[c] += slope
    model.train()
    model(images, samples, mode='loss')['loss'].backward()
    grads = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    assert set(grads) == {'head.fc.weight', 'head.fc.bias'}
    torch.testing.assert_close(grads['head.fc.weight'], weight, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(grads['head.fc.bias'], bias, rtol=1e-3, atol=1e-5)
    assert all(p.grad is None for p in model.teacher.parameters())


def test_steps_change_nothing_else_bit_for_bit(model, batch):
    images, samples, _ = batch
    nets = (model, model.teacher)
    before = [{k: v.clone() for k, v in net.state_dict().items()} for net in nets]
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    )
    for _ in range(2):
        model.train()
        model.train_step(dict(inputs=images, data_samples=samples), wrapper)
    for net, old in zip(nets, before):
        changed = [k for k, v in net.state_dict().items() if not torch.equal(v, old[k])]
        assert changed == (['head.fc.weight', 'head.fc.bias'] if net is model else [])


def test_the_teacher_is_no_part_of_the_checkpoint(model):
    assert {k.split('.')[0] for k in model.state_dict()} == {'backbone', 'head'}
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(
        p.numel() for part in (model.backbone, model.head) for p in part.parameters()
    )
    model.train().double()
    assert model.teacher.backbone.conv1.weight.dtype == torch.float64
    assert not any(m.training for m in model.teacher.modules())
    assert not any(p.requires_grad for p in model.teacher.parameters())
    model.init_weights()  # as the runner does
    assert model.teacher.sha256 is not None


@pytest.mark.parametrize('student', ['effb0', 'effb1', 'mbv3', 'r18', 'r34'])
def test_all_of_a_student_is_frozen_before_ddp_looks(student):
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(f'configs/benchmarks/kd_disco_{student}.py').model
    torch.manual_seed(0)
    cfg.teacher = FrozenClassifier(
        MODELS.build(TEACHER), MODELS.build(head(128, 1000)), MODELS.build(NECK)
    )
    model = MODELS.build(cfg)
    assert [k for k, p in model.named_parameters() if p.requires_grad] == [
        'head.fc.weight',
        'head.fc.bias',
    ]
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    model.train()
    feats = model.extract_feat(torch.randn(2, 3, 64, 64))[-1]
    assert feats.shape == (2, cfg.head.in_channels)
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_faults_are_named_in_one_line(tmp_path, teacher_file):
    def build(**kwargs):
        parts = dict(
            backbone=BACKBONE,
            neck=NECK,
            head=head(64),
            teacher=teacher_config(teacher_file),
        )
        return KDClassifier(**{**parts, **kwargs})

    state = torch.load(teacher_file)['state_dict']

    def saved(name, content):
        torch.save(content, tmp_path / name)
        return teacher_config(str(tmp_path / name))

    bare = {k: v for k, v in state.items() if k.startswith('backbone.')}
    nan = dict(state, **{'head.fc.bias': torch.full((CLASSES,), math.nan)})
    extra = dict(state, **{'head.fc2.bias': torch.zeros(1)})
    other = teacher_config(teacher_file)
    other['head'] = head(128, 7)
    wide = teacher_config(None)
    for words, kwargs in (
        ('student has 4 classes, the teacher 5: set', dict(head=head(64, 4))),
        (
            r"bare.pth' has no classifier \(head",
            dict(teacher=saved('bare.pth', dict(state_dict=bare))),
        ),
        (
            "none.pth' not found: train one with configs/benchmarks/linear_r50",
            dict(teacher=teacher_config(str(tmp_path / 'none.pth'))),
        ),
        (
            'head.fc.bias is not finite',
            dict(teacher=saved('nan.pth', dict(state_dict=nan))),
        ),
        (
            '1 unexpected, e.g. head.fc2.bias',
            dict(teacher=saved('extra.pth', dict(state_dict=extra))),
        ),
        ('has no state_dict', dict(teacher=saved('flat.pth', state))),
        (r'does not fit .*\[5, 128\] in the file, \[7, 128\]', dict(teacher=other)),
        ('no weights: set model.teacher.checkpoint', dict(teacher=wide)),
        ('no classifier: set model.head', dict(head=None)),
        ('no teacher: set model.teacher', dict(teacher=None)),
        (
            'DisCoLoss takes no labels: set model.distill',
            dict(distill=dict(type='DisCoLoss')),
        ),
        (
            'remove batch_augments',
            dict(
                data_preprocessor=dict(
                    num_classes=CLASSES,
                    batch_augments=dict(augments=dict(type='Mixup', alpha=0.2)),
                )
            ),
        ),
    ):
        with pytest.raises(ValueError, match=words) as error:
            build(**kwargs)
        assert '\n' not in str(error.value)


def test_the_teacher_made_faster_gives_the_same_logits(teacher_file, batch):
    images = batch[0]
    plain, fast = (
        FrozenClassifier(TEACHER, head(128), NECK, teacher_file, **options)
        for options in ({}, dict(fuse=True, channels_last=True))
    )
    torch.testing.assert_close(fast(images), plain(images), rtol=1e-4, atol=1e-4)

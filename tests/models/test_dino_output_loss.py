import math

import pytest
import torch
from mmpretrain.registry import MODELS

from mmdisco.models import DINOOutputLoss, DisCo, FrozenTeacher
from tests.models.test_dino import DINO


def dino_file(path, wrap=''):
    """Write a file like DINO's and return its tensors."""
    torch.manual_seed(0)
    weight = {
        f'{wrap}head.last_layer.weight_g': torch.rand(5, 1) + 0.5,
        f'{wrap}head.last_layer.weight_v': torch.randn(5, 8),
    }
    center = torch.randn(1, 5)
    torch.save(
        dict(student={}, teacher=weight, epoch=1, dino_loss=dict(center=center)), path
    )
    return [*weight.values(), center]


@pytest.mark.parametrize('wrap', ['', 'module.'])
def test_it_equals_a_plain_loop(tmp_path, wrap):
    norms, directions, center = dino_file(tmp_path / 'dino.pth', wrap)
    loss = DINOOutputLoss(
        str(tmp_path / 'dino.pth'), student_temp=0.2, teacher_temp=0.05, loss_weight=3.0
    )
    assert not loss.state_dict()
    student, teacher = torch.randn(2, 4, 8, dtype=torch.float64)

    def softmax(embed, temp, shift):
        unit = [v / math.sqrt(sum(e * e for e in embed)) for v in embed]
        scores = []
        for g, v, c in zip(norms[:, 0].tolist(), directions.tolist(), shift):
            length = math.sqrt(sum(e * e for e in v))
            scores.append((sum(a * b for a, b in zip(unit, v)) * g / length - c) / temp)
        total = sum(map(math.exp, scores))
        return [math.exp(s) / total for s in scores]

    expected = 0.0
    for s, t in zip(student.tolist(), teacher.tolist()):
        target = softmax(t, 0.05, center[0].tolist())
        expected -= (
            3
            * sum(p * math.log(q) for p, q in zip(target, softmax(s, 0.2, [0.0] * 5)))
            / 4
        )
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-4)


def test_a_checkpoint_of_dino_here_is_a_teacher_with_outputs(tmp_path):
    path = str(tmp_path / 'own.pth')
    model = MODELS.build(dict(DINO))
    model.head.center.normal_()
    torch.save(dict(state_dict=model.state_dict()), path)
    loss = DINOOutputLoss(path)
    torch.testing.assert_close(loss.prototypes, model.head.last_layer.weight)
    assert torch.equal(loss.center, model.head.center)
    teacher = FrozenTeacher(model.backbone, model.neck)
    views = [torch.randn(2, 3, 32, 32) for _ in range(2)]
    student = DisCo(
        dict(DINO, neck=dict(DINO['neck'], hid_channels=4)), teacher, loss
    ).eval()
    losses = student.loss(views)
    expected = 0.0
    for view in views:
        target = (model.head(teacher(view)) - model.head.center) / 0.04
        logits = model.head(student.neck(student.backbone(view))[0]) / 0.1
        expected += torch.nn.functional.cross_entropy(logits, target.softmax(1))
    torch.testing.assert_close(losses['loss_distill'], expected)


def test_files_without_a_last_layer_or_of_another_width_are_named(tmp_path):
    path = str(tmp_path / 'a.pth')
    for key in ('backbone.x', 'head.last_layer.weight_v'):
        torch.save(dict(teacher={key: torch.ones(1)}), path)
        with pytest.raises(ValueError, match='has no last layer of DINO'):
            DINOOutputLoss(path)
    dino_file(path)
    narrow = dict(
        DINO,
        neck=dict(DINO['neck'], out_channels=4),
        head=dict(DINO['head'], in_channels=4),
    )
    model = MODELS.build(dict(narrow))
    with pytest.raises(
        ValueError, match='is for 8-d embeddings, the teacher gives 4-d'
    ):
        DisCo(narrow, FrozenTeacher(model.backbone, model.neck), DINOOutputLoss(path))
    model = MODELS.build(dict(DINO))
    teacher = FrozenTeacher(model.backbone, model.neck)
    teacher.sha256, teacher.checkpoint = 'another', 'b.pth'
    with pytest.raises(ValueError, match="another file than the teacher's 'b.pth'"):
        DisCo(DINO, teacher, DINOOutputLoss(path))

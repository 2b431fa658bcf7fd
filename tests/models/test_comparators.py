"""AT, KD and SimReg equal the public code and plain loops."""

import math

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from mmdisco.models import ATLoss, DisCoLoss, KDLoss, SimRegLoss


def close(actual, expected, rtol=1e-5, atol=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def check(loss, golden, inputs, value, grad, pack=lambda x: x):
    """Compare value and gradient with respect to the student with the golden."""
    student, *rest = (torch.from_numpy(golden[key]) for key in inputs)
    student.requires_grad_()
    result = loss(pack(student), *map(pack, rest[:1]), *rest[1:])
    result.backward()
    close(result.item(), golden[value])
    close(student.grad, golden[grad], atol=1e-8)


@pytest.mark.parametrize('case', ['case0', 'case1'])
def test_at_equals_the_public_code(case):
    golden = np.load('tests/data/at.npz')
    check(
        ATLoss(),
        golden,
        [f'{case}/student', f'{case}/teacher'],
        f'{case}/loss',
        f'{case}/grad',
        pack=lambda maps: [maps],
    )


def test_at_pairs_maps_by_size_and_equals_a_plain_loop():
    torch.manual_seed(0)
    sizes = [(2, 4, 4), (3, 4, 4), (5, 3, 2), (4, 1, 1)]  # C, H, W
    student = [torch.randn(2, *size) for size in sizes]
    teacher = [
        torch.randn(2, 7, 5, 5),
        torch.randn(2, 6, 4, 4),
        torch.randn(2, 6, 3, 2),
    ]

    def attention(image):
        _, height, width = image.shape
        flat = [
            sum(c[y][x] ** 2 for c in image.tolist()) / len(image)
            for y in range(height)
            for x in range(width)
        ]
        norm = math.sqrt(sum(v * v for v in flat))
        return [v / norm for v in flat]

    expected = 0.0
    for s_map, t_map in ((student[1], teacher[1]), (student[2], teacher[2])):
        differences = [
            (a - b) ** 2
            for s, t in zip(s_map, t_map)
            for a, b in zip(attention(s), attention(t))
        ]
        expected += 10 * sum(differences) / len(differences)
    loss = ATLoss(loss_weight=10.0)(student, teacher)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    with pytest.raises(
        ValueError, match="the student's are 4x4, 3x2, the teacher's 5x5$"
    ):
        ATLoss()(student[1:3], teacher[:1])


@pytest.mark.parametrize('case', ['case0', 'case1'])
@pytest.mark.parametrize('reduction', ['mean', 'batchmean'])
def test_kd_equals_the_public_code(case, reduction):
    golden = np.load('tests/data/kd.npz')
    loss = KDLoss(float(golden[f'{case}/T']), float(golden[f'{case}/alpha']), reduction)
    at = f'{case}/{reduction}'
    check(
        loss,
        golden,
        ['student_logits', 'teacher_logits', 'labels'],
        f'{at}_loss',
        f'{at}_grad',
    )


def test_kd_equals_a_plain_loop():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 4, 3)
    labels = [2, 0, 1, 1]

    def log_softmax(logits, temperature):
        total = sum(math.exp(v / temperature) for v in logits)
        return [v / temperature - math.log(total) for v in logits]

    expected = 0.0
    for s, t, label in zip(student.tolist(), teacher.tolist(), labels):
        expected += (
            5
            * 0.2
            * 9
            / 4
            * sum(
                math.exp(p) * (p - q)
                for p, q in zip(log_softmax(t, 3), log_softmax(s, 3))
            )
        )
        expected -= 5 * 0.8 / 4 * log_softmax(s, 1)[label]
    loss = KDLoss(temperature=3.0, alpha=0.2, loss_weight=5.0)
    assert loss(student, teacher, torch.tensor(labels)).item() == (
        pytest.approx(expected, rel=1e-5)
    )


def test_kd_names_what_does_not_fit():
    with pytest.raises(ValueError, match="'batchmean' or 'mean', got 'sum'"):
        KDLoss(reduction='sum')
    with pytest.raises(ValueError, match='student has 3 classes, the teacher 4'):
        KDLoss()(torch.ones(2, 3), torch.ones(2, 4), torch.tensor([0, 1]))


def test_simreg_equals_a_plain_loop():
    torch.manual_seed(0)
    student, teacher = 3 * torch.randn(2, 4, 5)
    expected = 0.0
    for s, t in zip(student.tolist(), teacher.tolist()):
        dot = sum(a * b for a, b in zip(s, t))
        expected += (2 - 2 * dot / math.hypot(*s) / math.hypot(*t)) / 4
    loss = SimRegLoss(loss_weight=7.0)(student, teacher)
    assert loss.item() == pytest.approx(7 * expected, rel=1e-5)
    torch.testing.assert_close(loss, DisCoLoss(7.0)(student, teacher))


QUEUE = dict(queue_len=6, embed_dim=8)
LOSSES = dict(
    SEEDLoss=QUEUE,
    BINGOLoss=QUEUE,
    CompRessLoss=dict(
        teacher_dim=8, queue_len=6, adapter=dict(in_features=8, out_features=8)
    ),
    ATLoss={},
    RKDLoss={},
    KDLoss={},
    SimRegLoss={},
)


@pytest.mark.parametrize('name', LOSSES)
def test_losses_are_fp32_for_any_input(name):
    torch.manual_seed(0)
    loss = MODELS.build(dict(LOSSES[name], type=name))
    inputs = list((300 * torch.randn(2, 4, 8)).bfloat16())
    if name == 'KDLoss':
        inputs.append(torch.tensor([1, 2, 3, 4]))
    if name == 'BINGOLoss':
        inputs.append(inputs[0].flip(0))
    if name == 'ATLoss':  # fp16 overflows at the square of 300
        inputs = [[maps.half()[:, None, None]] for maps in inputs]
    state = {k: v.clone() for k, v in loss.state_dict().items()}
    with torch.autocast('cpu', dtype=torch.bfloat16):
        result = loss(*inputs)
    assert result.dtype == torch.float32 and result.isfinite()
    loss.load_state_dict(state)
    wide = (
        [[maps[0].float()] for maps in inputs]
        if name == 'ATLoss'
        else [x.float() if x.is_floating_point() else x for x in inputs]
    )
    assert torch.equal(result, loss(*wide))

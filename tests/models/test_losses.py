import math

import pytest
import torch

from mmdisco.models import DisCoLoss


def test_disco_loss_equals_a_plain_loop():
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 7), 3 * torch.randn(5, 7)
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist()):
        norm_s = math.sqrt(sum(a * a for a in s))
        norm_t = math.sqrt(sum(b * b for b in t))
        total += sum((a / norm_s - b / norm_t) ** 2 for a, b in zip(s, t))
    loss = DisCoLoss(loss_weight=32.0)(student, teacher)
    assert loss.item() == pytest.approx(32 * total / 5, rel=1e-5)


def test_disco_loss_is_fp32_for_half_precision_inputs():
    student = torch.tensor([[3e4, 0.0]], dtype=torch.float16)
    teacher = torch.tensor([[0.0, 1.0]], dtype=torch.bfloat16)
    loss = DisCoLoss()(student, teacher)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(2.0)  # at right angles

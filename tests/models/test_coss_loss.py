"""CoSS equals a plain loop, and its gradient central differences of it."""

import math

import numpy as np
import pytest
import torch

from mmdisco.models import CoSSLoss


def cosine(a, b):
    norms = [math.sqrt(sum(v * v for v in vector)) for vector in (a, b)]
    return sum(x * y for x, y in zip(a, b)) / max(norms[0] * norms[1], 1e-12)


def coss(student, teacher, space_weight):
    """Rows are images; columns are dimensions."""
    rows = [1 - cosine(s, t) for s, t in zip(student, teacher)]
    columns = [1 - cosine(s, t) for s, t in zip(zip(*student), zip(*teacher))]
    return sum(rows) / len(rows) + space_weight * sum(columns) / len(columns)


@pytest.mark.parametrize('space_weight', [0.0, 0.5])
def test_it_equals_a_plain_loop(space_weight):
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 3) * torch.tensor([1, 4, 0.1]), torch.rand(5, 3)
    student.requires_grad_()
    loss = CoSSLoss(space_weight, loss_weight=7.0)(student, teacher)
    loss.backward()
    values = student.detach().double().numpy()
    expected = 7 * coss(values.tolist(), teacher.tolist(), space_weight)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    step = 1e-5
    for at in np.ndindex(5, 3):
        moved = []
        for sign in (1, -1):
            other = values.copy()
            other[at] += sign * step
            moved.append(7 * coss(other.tolist(), teacher.tolist(), space_weight))
        slope = (moved[0] - moved[1]) / (2 * step)
        assert student.grad[at].item() == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_a_dimension_that_is_always_zero_has_a_finite_gradient():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 4, 3)
    teacher[:, 1] = 0
    for dead in (student, torch.zeros(4, 3)):
        dead = dead.clone().requires_grad_()
        loss = CoSSLoss()(dead, teacher)
        loss.backward()
        assert dead.grad.isfinite().all() and loss.isfinite()
    assert loss.item() == pytest.approx(2.0)  # no cosine at all


def test_the_second_term_sees_the_norms_that_the_first_discards():
    torch.manual_seed(0)
    teacher = torch.randn(6, 4)
    factors = torch.tensor([1.0, 2, 3, 4, 5, 6])[:, None]
    rows = CoSSLoss(space_weight=0)(factors * teacher, teacher)
    both = CoSSLoss()(factors * teacher, teacher)
    assert rows.item() == pytest.approx(0, abs=1e-6)
    assert both.item() > 0.05
    columns = factors[:4, 0] * teacher  # a factor for each dimension
    assert CoSSLoss()(columns, teacher).item() == pytest.approx(
        CoSSLoss(space_weight=0)(columns, teacher).item(), abs=1e-6
    )

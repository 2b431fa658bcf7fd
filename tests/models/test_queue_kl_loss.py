"""The divergence equals the public code and a plain loop."""

import math

import numpy as np
import pytest
import torch

from mmdisco.models import QueueKLLoss, SEEDLoss
from mmdisco.models.losses.base import EmbedSpec
from tests.models.test_comparators import close
from tests.models.test_queue_losses import log_softmax, unit


def test_it_equals_the_public_code():
    golden = np.load('tests/data/queue_kl.npz')
    length, dim = golden['queue'].shape
    loss = QueueKLLoss(dim, length, float(golden['temperature']))
    loss.queue.rows.copy_(torch.from_numpy(golden['queue']))
    for step in range(3):
        student = torch.from_numpy(golden[f'student{step}']).requires_grad_()
        value = loss(student, torch.from_numpy(golden[f'teacher{step}']))
        value.backward()
        close(value.item(), golden[f'loss{step}'], rtol=1e-5)
        close(student.grad, golden[f'grad{step}'], rtol=1e-4)


def test_it_equals_a_plain_loop():
    torch.manual_seed(0)
    loss = QueueKLLoss(3, 6, temperature=0.3, loss_weight=2.0)
    rows = loss.queue.rows.tolist()
    for step in range(3):  # batches of four rows in a queue of six
        student, teacher = torch.randn(2, 4, 3)
        s, t = unit(student), unit(teacher)
        for i in range(4):
            rows[(4 * step + i) % 6] = t[i]
        expected = 0.0
        for i in range(4):
            target, log = (log_softmax(x[i], rows, 0.3) for x in (t, s))
            expected += 2 * sum(math.exp(p) * (p - q) for p, q in zip(target, log)) / 4
        assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-4)
        close(loss.queue.rows, rows)


def test_a_perfect_student_has_no_loss_other_than_with_seed():
    torch.manual_seed(0)
    embeds = torch.randn(4, 8)
    assert QueueKLLoss(8, 16)(3 * embeds, embeds).item() == pytest.approx(0, abs=1e-6)
    # one image, one temperature: SEED's gradient, if no row of the queue is replaced
    loss, seed = QueueKLLoss(8, 16, 0.2), SEEDLoss(8, 15, 0.2, 0.2)
    seed.queue.rows.copy_(loss.queue.rows[1:])
    student = torch.randn(1, 8, requires_grad=True)
    grads = [
        torch.autograd.grad(either(student, embeds[:1]), student)[0]
        for either in (loss, seed)
    ]
    torch.testing.assert_close(*grads)


def test_widths_and_lengths_are_checked():
    loss = QueueKLLoss(8, 4)
    student = EmbedSpec('PlainStudent', 8)
    with pytest.raises(ValueError, match='a.embed_dim is 8, the teacher gives 9-d'):
        loss.check(student, EmbedSpec('FrozenTeacher', 9), 'a')
    loss.check(student, EmbedSpec('FrozenTeacher', 8))
    with pytest.raises(ValueError, match='a batch of 5 .* a queue of 4'):
        loss(torch.randn(5, 8), torch.randn(5, 8))

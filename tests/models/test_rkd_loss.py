"""RKD equals the public code and a plain loop, in little memory."""

import ctypes
import math
import resource
import sys

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

from mmdisco.models import RKDLoss
from mmdisco.models.losses.rkd_loss import distances
from tests.forkserver import START
from tests.models.test_comparators import check


@pytest.mark.parametrize('kind', ['raw', 'unit'])
@pytest.mark.parametrize('part', ['distance', 'angle'])
@pytest.mark.parametrize('chunk_size', [3, 16])
def test_rkd_equals_the_public_code(kind, part, chunk_size):
    weights = {
        f'{other}_weight': float(other == part) for other in ('distance', 'angle')
    }
    loss = RKDLoss(**weights, normalize=False, chunk_size=chunk_size)
    check(
        loss,
        np.load('tests/data/rkd.npz'),
        [f'{kind}/student', f'{kind}/teacher'],
        f'{kind}/{part}_loss',
        f'{kind}/{part}_grad',
    )


def huber(difference):
    size = abs(difference)
    return size * size / 2 if size < 1 else size - 0.5


def relations(embeds):
    """Distances over their mean, and cosines, by the paper's definition."""
    embeds = [[v / math.hypot(*e) for v in e] for e in embeds.tolist()]
    num = len(embeds)
    lengths = [math.dist(a, b) for a in embeds for b in embeds]
    # over the pairs of distinct images
    mean = sum(lengths) / (num * (num - 1))
    angles = []
    for a in embeds:
        sides = [[p - q for p, q in zip(b, a)] for b in embeds]
        units = [[v / (math.hypot(*s) or 1) for v in s] for s in sides]
        angles += [sum(p * q for p, q in zip(u, v)) for u in units for v in units]
    return [d / mean for d in lengths], angles


@pytest.mark.parametrize('equal', [(1, 1), (2, 1), (4, 1), (1, 4), (3, 5)])
def test_rkd_equals_a_plain_loop(equal):
    """Also if the first images of student or teacher have equal embeddings."""
    torch.manual_seed(0)
    student, teacher = torch.randn(8, 3), torch.randn(8, 6)
    for embeds, num in zip((student, teacher), equal):
        embeds[:num] = embeds[0].clone()

    expected = 0.0
    for weight, s, t in zip((1, 2), relations(student), relations(teacher)):
        expected += 3 * weight * sum(huber(a - b) for a, b in zip(s, t)) / len(s)
    student.requires_grad_()
    loss = RKDLoss(angle_weight=2.0, loss_weight=3.0)(student, teacher)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert student.grad.isfinite().all() and student.grad.abs().max() < 100


def test_rkd_counts_equal_embeddings_as_the_public_code():
    """The public code clamps squared distances at 1e-12, mean over N (N - 1)."""
    torch.manual_seed(0)
    embeds = F.normalize(torch.randn(8, 5, dtype=torch.double), dim=1)
    embeds[:4] = embeds[0].clone()
    apart = (embeds[:, None] - embeds).square().sum(2).clamp(min=1e-12).sqrt()
    apart.fill_diagonal_(0)
    torch.testing.assert_close(
        distances(embeds), apart / apart[apart > 0].mean(), atol=1e-5, rtol=0
    )


def test_rkd_of_equal_embeddings_is_finite():
    for rows in (1, 4):
        student = torch.ones(rows, 3, requires_grad=True)
        RKDLoss()(student, torch.randn(rows, 3)).backward()
        assert student.grad.abs().max() < 100


def plain_angle(student, teacher):
    """All N³ cosines at once."""
    sides = (F.normalize(e[None] - e[:, None], dim=2) for e in (student, teacher))
    return F.smooth_l1_loss(*(s @ s.transpose(1, 2) for s in sides))


def _peaks(_, path):
    # freed memory returns to the system, so that the peak is meaningful
    ctypes.CDLL(None).mallopt(-3, 1 << 17)
    torch.set_num_threads(1)
    grown, grads = [], []
    for angle in (RKDLoss(0.0, normalize=False), plain_angle):
        for rows in (8, 256):  # the first loads libraries
            student, teacher = torch.randn(
                2, rows, 128, generator=torch.Generator().manual_seed(0)
            )
            student.requires_grad_()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            angle(student, teacher).backward()
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        grown.append((after - before) / 1024)  # MiB
        grads.append(student.grad)
    torch.save((grown, grads), path)


@pytest.mark.skipif(sys.platform != 'linux', reason='measures as Linux does')
def test_rkd_of_256_images_takes_little_memory(tmp_path):
    mp.start_processes(
        _peaks, args=(str(tmp_path / 'peaks.pt'),), nprocs=1, start_method=START
    )
    (ours, plain), grads = torch.load(tmp_path / 'peaks.pt')
    assert ours < 50 and plain > 4 * ours, (ours, plain)
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-8)

"""RankMe, alignment and uniformity by their definitions."""

from math import exp, log

import numpy as np
import pytest
import torch

from mmdisco.evaluation import alignment, rank_me, uniformity


def test_rank_me_is_the_formula():
    features = np.random.RandomState(0).randn(30, 7) * np.arange(1, 8)
    sizes = np.linalg.svd(features, compute_uv=False)
    total, entropy = sum(abs(s) for s in sizes), 0.0
    for size in sizes:
        share = size / total + 1e-7
        entropy -= share * log(share)
    assert rank_me(torch.from_numpy(features)) == pytest.approx(exp(entropy), rel=1e-5)


def test_rank_me_of_known_matrices():
    line = torch.arange(1.0, 10).outer(torch.tensor([3.0, -4, 0, 1, 2]))
    assert rank_me(line) == pytest.approx(1, abs=1e-4)
    basis = torch.linalg.qr(
        torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    )[0]
    assert rank_me(5 * basis) == pytest.approx(6, abs=1e-4)
    halves = torch.zeros(8, 6)
    halves[:4, 0] = halves[4:, 3] = 1.0
    assert rank_me(halves) == pytest.approx(2, abs=1e-4)
    assert rank_me(torch.zeros(8, 6)) == pytest.approx(1, abs=1e-4)


def test_alignment_and_uniformity_are_the_loops():
    random = np.random.RandomState(0)
    first, second = random.randn(2, 12, 5)
    unit, other = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second)
    )
    for alpha in (1, 2, 3):
        apart = [
            sum((a - b) ** 2 for a, b in zip(x, y)) ** (alpha / 2)
            for x, y in zip(unit, other)
        ]
        assert alignment(
            *map(torch.from_numpy, (first, second)), alpha
        ) == pytest.approx(sum(apart) / 12, rel=1e-5)
    for t in (0.5, 2):
        terms = [
            exp(-t * sum((a - b) ** 2 for a, b in zip(unit[i], unit[j])))
            for i in range(12)
            for j in range(i)
        ]
        assert uniformity(torch.from_numpy(first), t) == pytest.approx(
            log(sum(terms) / len(terms)), rel=1e-5
        )


def test_known_cases():
    views = torch.eye(4)
    assert alignment(views, 7 * views) == 0
    assert alignment(views, -views) == pytest.approx(4)
    assert uniformity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-5)
    assert uniformity(views) == pytest.approx(-4)  # all at distance sqrt(2)

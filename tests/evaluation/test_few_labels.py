"""Draws of few labelled images, and probes trained on them."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler, normalize

from mmdisco.errors import InputError
from mmdisco.evaluation.features.cache import Features
from mmdisco.evaluation.probes.choice import rows_of_fraction, rows_per_class
from mmdisco.evaluation.protocols import few, few_shot_accuracy, label_fraction
from tests.evaluation.test_linear import blobs

LABELS = torch.tensor([0] * 30 + [1] * 50 + [2] * 20)[
    torch.randperm(100, generator=torch.Generator().manual_seed(7))
]
NAMES = [*'abc']


def counts(rows):
    assert len({*rows.tolist()}) == len(rows)  # none twice
    assert rows.tolist() == sorted(rows.tolist())
    return Counter(LABELS[rows].tolist())


@pytest.mark.parametrize('k', [1, 7, 20])
def test_k_of_each_class(k):
    rows = rows_per_class(LABELS, 3, k, 0)
    assert counts(rows) == {0: k, 1: k, 2: k}
    assert torch.equal(rows, rows_per_class(LABELS, 3, k, 0))
    assert not torch.equal(rows, rows_per_class(LABELS, 3, k, 1))


def test_more_than_a_class_has_is_an_error():
    with pytest.raises(
        InputError, match='class 2 has 20 .* 21 per class are requested'
    ):
        rows_per_class(LABELS, 3, 21, 0)
    with pytest.raises(InputError, match='class 3 has 0 training images'):
        rows_per_class(LABELS, 4, 1, 0)


@pytest.mark.parametrize('percent', ['3', '10', '12.5', '50', '100'])
def test_a_share_of_each_class(percent):
    rows = rows_of_fraction(LABELS, 3, percent, 0)
    share = Fraction(percent) / 100
    found = counts(rows)
    assert len(rows) == int(100 * share)
    for label, num in enumerate((30, 50, 20)):
        assert abs(found[label] - num * share) < 1
    assert torch.equal(rows, rows_of_fraction(LABELS, 3, percent, 0))
    if percent != '100':
        assert not torch.equal(rows, rows_of_fraction(LABELS, 3, percent, 1))


def test_every_row_is_chosen_by_some_seed():
    chosen = {
        row
        for seed in range(60)
        for row in rows_of_fraction(LABELS, 3, '10', seed).tolist()
    }
    assert chosen == {*range(100)}


@pytest.mark.parametrize('percent', ['0', '-1', '101', 'ten', '1/0'])
def test_not_a_percentage(percent):
    with pytest.raises(InputError, match=f"'{percent}' is not a percentage"):
        rows_of_fraction(LABELS, 3, percent, 0)


def test_a_share_that_leaves_a_class_out_is_an_error():
    with pytest.raises(InputError, match='1 % of 100 images leaves class'):
        rows_of_fraction(LABELS, 3, '1', 0)


def splits():
    (x, y), (test_x, test_y) = blobs(90, 0), blobs(60, 1)
    return (
        x,
        y,
        test_x,
        test_y,
        Features(x[None], y, NAMES, {}),
        Features(test_x[None], test_y, NAMES, {}),
    )


def test_few_shots_are_scikit_learns_on_unit_features():
    x, y, test_x, test_y, train, test = splits()
    found = few_shot_accuracy(train, test, 4, repeats=3, seed=5)
    scores = []
    for seed in (5, 6, 7):
        rows = rows_per_class(y, 3, 4, seed)
        model = LogisticRegression(C=1.0, tol=1e-10).fit(
            normalize(x[rows].double()), y[rows]
        )
        scores.append(100 * model.score(normalize(test_x.double()), test_y))
    assert found['images'] == 12
    np.testing.assert_allclose(found['repeats'], scores, atol=1e-6)
    assert found['top1'] == pytest.approx(np.mean(scores))


def test_a_share_of_labels_is_scikit_learns(monkeypatch):
    """With one penalty: what cross-validation chooses is tested below."""
    monkeypatch.setattr(few, 'GRID', (0.1,))
    x, y, test_x, test_y, train, test = splits()
    found = label_fraction(train, test, '20', repeats=2, seed=3)
    scores = []
    for seed in (3, 4):
        rows = rows_of_fraction(y, 3, '20', seed)
        scaler = StandardScaler().fit(x[rows].double())
        model = LogisticRegression(C=0.1, tol=1e-10).fit(
            scaler.transform(x[rows].double()), y[rows]
        )
        scores.append(100 * model.score(scaler.transform(test_x.double()), test_y))
    assert found['images'] == 18
    np.testing.assert_allclose(found['repeats'], scores, atol=1e-6)


def test_the_penalty_is_chosen_among_the_labelled_alone():
    x, y, _, _, train, test = splits()
    honest = label_fraction(train, test, '20', repeats=2)
    rows = torch.cat([rows_of_fraction(y, 3, '20', s) for s in (0, 1)]).unique()
    spoilt = torch.full_like(x, 1e4)
    spoilt[rows] = x[rows]
    assert (
        label_fraction(train._replace(views=spoilt[None]), test, '20', repeats=2)
        == honest
    )
    flipped = test._replace(labels=(test.labels + 1) % 3)
    assert label_fraction(train, flipped, '20', repeats=2) != honest


def test_cross_validation_takes_the_best_penalty_of_a_plain_loop():
    x, y, _, _, train, _ = splits()
    rows = rows_of_fraction(y, 3, '50', 0)
    best = few._cross_validated(train, rows, 'cpu')
    order = rows[
        torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    ].tolist()
    order.sort(key=lambda r: int(y[r]))  # each class is dealt out in turn
    hits, losses = (dict.fromkeys(few.GRID, 0) for _ in range(2))
    for fold in range(5):
        val = [r for i, r in enumerate(order) if i % 5 == fold]
        fit = [r for i, r in enumerate(order) if i % 5 != fold]
        scaler = StandardScaler().fit(x[fit].double())
        for strength in hits:
            model = LogisticRegression(C=strength, tol=1e-10).fit(
                scaler.transform(x[fit].double()), y[fit]
            )
            guess = model.predict(scaler.transform(x[val].double()))
            hits[strength] += int((guess == y[val].numpy()).sum())
            losses[strength] += log_loss(
                y[val],
                model.predict_proba(scaler.transform(x[val].double())),
                normalize=False,
            )
    assert best == max(hits, key=lambda s: (hits[s], -losses[s]))

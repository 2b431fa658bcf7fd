"""Scores of classifiers against scikit-learn and plain loops."""

import json
from math import ceil, exp, log

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    top_k_accuracy_score,
)

from mmdisco.evaluation.probes.scores import (
    calibration_error,
    classifier_scores,
    draw_confusion,
    top_k,
)
from mmdisco.evaluation.protocols import plus_minus
from mmdisco.evaluation.protocols.few import mean_and_interval


def logits_of(num, classes, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, num)
    logits = 2 * rng.normal(size=(num, classes))
    logits[range(num), labels] += 1.5
    return torch.from_numpy(logits), torch.from_numpy(labels)


@pytest.mark.parametrize('k', [1, 2, 5, 7])
def test_top_k(k):
    logits, labels = logits_of(120, 7, 0)
    assert top_k(logits, labels, k) == pytest.approx(
        100 * top_k_accuracy_score(labels, logits, k=k)
    )
    assert top_k(logits, labels, 99) == 100


@pytest.mark.parametrize('bins', [1, 10, 15])
def test_calibration_error_of_a_plain_loop(bins):
    logits, labels = logits_of(300, 4, 1)
    members = [[] for _ in range(bins)]
    for row, label in zip(logits.tolist(), labels.tolist()):
        powers = [exp(value) for value in row]
        confidence = max(powers) / sum(powers)
        right = powers.index(max(powers)) == label
        members[ceil(confidence * bins) - 1].append((right, confidence))
    error = sum(
        len(of_bin)
        / 300
        * abs(
            np.mean([right for right, _ in of_bin])
            - np.mean([sure for _, sure in of_bin])
        )
        for of_bin in members
        if of_bin
    )
    assert calibration_error(logits.softmax(1), labels, bins) == pytest.approx(
        100 * error
    )


def test_calibration_error_of_known_cases():
    labels = torch.tensor([0, 1, 0, 1])
    sure = torch.tensor([[1.0, 0.0]] * 4)
    assert calibration_error(sure, labels) == 50
    even = torch.full((4, 2), 0.5)
    even[:, 0] += 1e-9
    assert calibration_error(even, labels) == pytest.approx(0, abs=1e-5)


def test_scores_of_a_classifier_are_scikit_learns():
    logits, labels = logits_of(200, 6, 2)
    found = classifier_scores(logits, labels)
    guess = logits.argmax(1)
    table = confusion_matrix(labels, guess)
    assert found['confusion'] == table.tolist()
    np.testing.assert_allclose(
        found['per_class'], 100 * table.diagonal() / table.sum(1), atol=0.005
    )
    assert found['mean_class'] == pytest.approx(
        100 * balanced_accuracy_score(labels, guess), abs=1e-6
    )
    assert found['nll'] == pytest.approx(log_loss(labels, logits.softmax(1)), rel=1e-6)
    for k in (1, 5):
        assert found[f'top{k}'] == pytest.approx(
            100 * top_k_accuracy_score(labels, logits, k=k)
        )
    assert found['calibration_error'] == pytest.approx(
        calibration_error(logits.softmax(1), labels)
    )
    assert json.loads(json.dumps(found)) == found


def test_a_class_without_images_has_no_share():
    logits = torch.eye(3)[[0, 0, 2, 1]]
    found = classifier_scores(logits, torch.tensor([0, 0, 2, 2]))
    assert found['per_class'] == [100, None, 50]
    assert found['mean_class'] == 75 and found['top1'] == 75
    assert found['confusion'] == [[2, 0, 0], [0, 0, 0], [0, 1, 1]]
    assert found['nll'] == pytest.approx(
        np.mean([log(np.e + 2) - x for x in (1, 1, 1, 0)])
    )


def test_mean_and_interval_are_students():
    scores = [61.5, 60.25, 64.0, 62.75, 59.0]
    found = mean_and_interval(scores)
    low, high = stats.t.interval(0.95, 4, np.mean(scores), stats.sem(scores))
    assert found['top1'] == pytest.approx(np.mean(scores))
    assert found['interval'] == pytest.approx((high - low) / 2)
    assert found['repeats'] == scores
    assert plus_minus(found) == f'61.50 ± {(high - low) / 2:.2f}'
    alone = mean_and_interval([50.0])
    assert alone == dict(top1=50.0, interval=None, repeats=[50.0])
    assert plus_minus(alone) == '50.00'


@pytest.mark.parametrize('classes', [3, 60])
def test_the_drawing_is_darkest_on_the_diagonal(tmp_path, classes):
    path = tmp_path / 'new' / 'confusion.png'
    counts = (5 * np.eye(classes, dtype=int)).tolist()
    draw_confusion(counts, [*map(str, range(classes))], path)
    pixels = np.asarray(Image.open(path).convert('L'), float)
    height, width = pixels.shape
    table = pixels[:, : int(0.7 * width)]  # without the bar of colours
    dark = np.argwhere(table < 60)
    assert len(dark) and height > 200
    rows, columns = dark[:, 0], dark[:, 1]
    assert np.corrcoef(rows, columns)[0, 1] > 0.5  # falls to the right


def test_ties_and_what_is_not_a_number():
    """Of equal scores those of the first classes are the best."""
    nan = float('nan')
    scores = torch.tensor(
        [[1.0, 1.0, 0.0, 0.0, 0.0, 0.0], [2.0, nan, 1.0, 0.0, 0.0, 0.0], [nan] * 6]
    )
    for k, first, second in (
        (1, {0}, set()),
        (2, {0, 1}, {0}),
        (3, {0, 1, 2}, {0, 2}),
        (9, {*range(6)}, {0, 2, 3, 4, 5}),
    ):
        for label in range(6):
            hits = [label in first, label in second, False]
            assert top_k(scores, torch.full((3,), label), k) == (
                pytest.approx(100 * sum(hits) / 3)
            )


def test_names_of_classes_are_no_formulas(tmp_path):
    draw_confusion([[1, 0], [0, 1]], ['a$_$b$', 'c\udcff'], tmp_path / 'names.png')
    with Image.open(tmp_path / 'names.png') as image:
        image.load()

"""mAP against scikit-learn's average precision."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mmdisco.evaluation.features.cache import Features
from mmdisco.evaluation.probes.scores import average_precisions
from mmdisco.evaluation.protocols import retrieval_map
from tests.evaluation.test_nearest import random_features


def data():
    train, test = random_features(40, 5, 0), random_features(13, 5, 1)
    return train, torch.arange(40) % 3, test, torch.arange(13) % 2


def expected(train, train_labels, test, test_labels):
    cosine = torch.cosine_similarity(
        test[:, None].double(), train[None].double(), dim=2
    )
    return [
        average_precision_score(train_labels == label, row)
        for row, label in zip(cosine, test_labels)
    ]


@pytest.mark.parametrize('rows', [1, 5, 64])
def test_average_precisions_are_scikit_learns(rows):
    found = average_precisions(*data(), rows=rows)
    np.testing.assert_allclose(found, expected(*data()), atol=1e-9)


def test_the_protocol_is_their_mean_and_that_of_each_class():
    train, train_labels, test, test_labels = data()
    classes = [*'abc']
    found = retrieval_map(
        Features((3 * train)[None], train_labels, classes, {}),
        Features(test[None], test_labels, classes, {}),
    )
    each = np.array(expected(*data()))
    assert found['mean'] == pytest.approx(100 * each.mean())
    assert found['per_class'] == [
        pytest.approx(100 * each[test_labels == c].mean()) for c in range(2)
    ] + [None]


def test_known_rankings():
    train = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [1.0, 0.3]])
    found = average_precisions(
        train,
        torch.tensor([0, 1, 0, 1]),
        torch.tensor([[2.0, 0.0]] * 3),
        torch.tensor([0, 1, 2]),
    )
    assert found[:2].tolist() == pytest.approx([(1 + 2 / 3) / 2, (1 / 2 + 2 / 4) / 2])
    assert found[2].isnan()

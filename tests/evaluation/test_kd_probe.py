"""Linear probes on labels and a teacher's logits."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mmdisco.evaluation import (
    cross_entropy_of,
    fit_classifier,
    kd_probe,
    linear_logits,
    linear_probe,
)
from mmdisco.models import KDLoss
from tests.evaluation.test_linear import blobs


def scaled(x):
    return torch.from_numpy(StandardScaler().fit_transform(x.numpy())).float()


def test_without_the_teacher_it_is_logistic_regression():
    x, y = blobs(300, 0)
    found = fit_classifier(x, 3, cross_entropy_of(y, 3), 0.1)
    model = LogisticRegression(C=0.1, tol=1e-8).fit(scaled(x).double(), y)
    np.testing.assert_allclose(found.weight.T, model.coef_, atol=1e-3)
    np.testing.assert_allclose(
        found.bias - found.bias.mean(),
        model.intercept_ - model.intercept_.mean(),
        atol=1e-3,
    )
    test_x, test_y = blobs(200, 1)
    found = kd_probe(x, y, torch.randn(300, 3), test_x, test_y, 100, KDLoss(alpha=0.0))
    expected = linear_probe(x, y, test_x, test_y, 100)
    assert found['strength'] == expected['strength']
    assert abs(found['accuracy'] - expected['accuracy']) < 0.51


def test_the_teacher_alone_is_a_regression_on_its_probabilities():
    """Each image once a class, weighted by the teacher's probability."""
    x, y = blobs(150, 0)
    logits = torch.from_numpy(np.random.RandomState(3).randn(150, 3)).float()
    loss = KDLoss(temperature=1.0, alpha=1.0)
    found = fit_classifier(
        x, 3, lambda z, rows: loss(z, logits[rows].double(), y[rows]), 0.5
    )
    model = LogisticRegression(C=0.5, tol=1e-8).fit(
        np.repeat(scaled(x).double().numpy(), 3, axis=0),
        np.tile(np.arange(3), 150),
        sample_weight=logits.double().softmax(1).numpy().ravel(),
    )
    np.testing.assert_allclose(found.weight.T, model.coef_, atol=1e-3)


def test_logits_are_those_of_the_probe_of_all_features():
    x, y = blobs(300, 0)
    logits = linear_logits(x, y, 100, grid=(0.01,))
    model = LogisticRegression(C=0.01, tol=1e-8).fit(scaled(x).double(), y)
    np.testing.assert_allclose(
        logits.softmax(1), model.predict_proba(scaled(x).double()), atol=1e-3
    )

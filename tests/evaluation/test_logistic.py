"""The solver against scikit-learn's logistic regression."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mmdisco.errors import InputError
from mmdisco.evaluation import cross_entropy_of, fit_classifier
from mmdisco.evaluation.features.cache import Features
from mmdisco.evaluation.probes import logistic
from mmdisco.evaluation.probes.choice import held_out_rows
from mmdisco.evaluation.probes.logistic import fit_classifiers
from mmdisco.evaluation.protocols import linear_lbfgs
from tests.evaluation.test_linear import blobs

STRENGTHS = [1e-3, 1e-1, 10.0]


def value(weight, bias, x, y, strength):
    """Mean cross-entropy and penalty, [D, C] and [C]."""
    terms = log_softmax(x @ weight + bias, 1)
    data = -np.mean([row[label] for row, label in zip(terms, y)])
    return data + (weight**2).sum() / (2 * strength * len(y))


def compare(found, x, y, strength):
    """The optimum, and what it predicts, with scikit-learn's."""
    scaler = StandardScaler().fit(x)
    scaled = scaler.transform(x)
    model = LogisticRegression(C=strength, tol=1e-10, max_iter=9999).fit(scaled, y)
    np.testing.assert_allclose(found.mean, scaler.mean_, rtol=1e-9)
    np.testing.assert_allclose(found.std, scaler.scale_, rtol=1e-9)
    value_here = value(found.weight.numpy(), found.bias.numpy(), scaled, y, strength)
    value_sklearn = value(model.coef_.T, model.intercept_, scaled, y, strength)
    assert abs(value_here - value_sklearn) < 5e-5
    return model, scaled


@pytest.mark.parametrize('strength', STRENGTHS)
@pytest.mark.parametrize('chunk', [65536, 64])
@pytest.mark.parametrize('keep', [2**31, 0])
def test_the_optimum_is_scikit_learns(strength, chunk, keep, monkeypatch):
    monkeypatch.setattr(logistic, 'KEEP', keep)
    x, y = blobs(200, 0)
    found = fit_classifier(x, 3, cross_entropy_of(y, 3), strength, chunk=chunk)
    model, scaled = compare(found, x.double().numpy(), y.numpy(), strength)
    np.testing.assert_allclose(
        found.logits(x, chunk=33).softmax(1), model.predict_proba(scaled), atol=2e-3
    )


@pytest.mark.parametrize('strength', STRENGTHS)
def test_only_some_rows_train(strength):
    x, y = blobs(200, 1)
    rows = torch.randperm(200, generator=torch.Generator().manual_seed(0))[:90]
    found = fit_classifier(x, 3, cross_entropy_of(y, 3), strength, rows, chunk=40)
    compare(found, x[rows].double().numpy(), y[rows].numpy(), strength)


def test_a_constant_feature_has_no_weight():
    x, y = blobs(200, 2)
    x[:, 1], x[:, 4] = 0.0, 1234.5678
    found = fit_classifier(x, 3, cross_entropy_of(y, 3), 0.1, chunk=64)
    compare(found, x.double().numpy(), y.numpy(), 0.1)
    assert found.std[1] == found.std[4] == 1
    assert found.weight[[1, 4]].abs().max() < 1e-6


@pytest.mark.parametrize('strength', STRENGTHS)
def test_half_precision_features(strength):
    x, y = blobs(200, 3)
    half = x.half()
    found = fit_classifier(half, 3, cross_entropy_of(y, 3), strength)
    compare(found, half.double().numpy(), y.numpy(), strength)
    torch.testing.assert_close(found.logits(half), found.logits(half.float()))


def test_without_standardising():
    x, y = blobs(120, 4)
    unit = torch.nn.functional.normalize(x, dim=1)
    found = fit_classifier(unit, 3, cross_entropy_of(y, 3), 1.0, standardise=False)
    model = LogisticRegression(C=1.0, tol=1e-10).fit(unit.double(), y)
    value_here, value_sklearn = (
        value(*params, unit.double().numpy(), y.numpy(), 1.0)
        for params in (
            (found.weight.numpy(), found.bias.numpy()),
            (model.coef_.T, model.intercept_),
        )
    )
    assert abs(value_here - value_sklearn) < 5e-5


def test_a_label_outside_the_classes_is_an_error():
    with pytest.raises(InputError, match='label 3 is outside the 3 classes'):
        cross_entropy_of(torch.tensor([0, 3, 1]), 3)


def test_the_protocol_chooses_the_penalty_on_what_is_held_out():
    """Of two views of each image, none is on both sides."""
    (x, y), (test_x, test_y) = blobs(150, 5), blobs(80, 6)
    views = torch.stack(
        [x, x + 20 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))]
    )
    names = [*'abc']
    found = linear_lbfgs(
        Features(views, y, names, {}),
        Features(test_x[None], test_y, names, {}),
        held_out=0.2,
        grid=(1e-3, 1e-1),
        seed=4,
    )
    fit, val = held_out_rows(y, 30, 4)
    scores = {}
    for strength in (1e-3, 1e-1):
        scaler = StandardScaler().fit(views[:, fit].flatten(0, 1))
        model = LogisticRegression(C=strength, tol=1e-8).fit(
            scaler.transform(views[:, fit].flatten(0, 1)), y[fit].repeat(2)
        )
        scores[strength] = 100 * model.score(scaler.transform(x[val]), y[val])
    assert scores == pytest.approx(found['validation'])
    assert found['strength'] == max(scores, key=scores.get)
    scaler = StandardScaler().fit(views.flatten(0, 1))
    model = LogisticRegression(C=found['strength'], tol=1e-8).fit(
        scaler.transform(views.flatten(0, 1)), y.repeat(2)
    )
    assert found['top1'] == pytest.approx(
        100 * model.score(scaler.transform(test_x), test_y), abs=1.3
    )


def generated(num, classes, dim=16):
    """Features of some classes, of very different spread, and labels."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, num)
    x = rng.normal(size=(classes, dim))[y] + 2.5 * rng.normal(size=(num, dim))
    x = x * np.geomspace(1, 0.1, dim) @ rng.normal(size=(dim, dim))
    return torch.from_numpy(x), torch.from_numpy(y)


@pytest.mark.parametrize('classes', [2, 3, 100])
@pytest.mark.parametrize('strength', [1e-4, 1.0])
@pytest.mark.parametrize('large', [logistic.LARGE, 0])
def test_weights_and_predictions_are_scikit_learns(
    classes, strength, large, monkeypatch
):
    """Of two classes, too; and where all slopes are small, as of many
    classes under a strong penalty; also by way of single precision."""
    monkeypatch.setattr(logistic, 'LARGE', large)
    x, y = generated(1500, classes)
    x, test_x, y = x[:500], x[500:], y[:500]
    found = fit_classifier(x, classes, cross_entropy_of(y, classes), strength)
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=strength, tol=1e-9, max_iter=99999).fit(
        scaler.transform(x), y
    )
    weight, bias = found.weight.T.numpy(), found.bias.numpy()
    if classes == 2:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    scale = np.abs(model.coef_).max()
    np.testing.assert_allclose(weight, model.coef_, atol=5e-4 * scale)
    np.testing.assert_allclose(
        bias - bias.mean() * (classes > 2),
        model.intercept_ - model.intercept_.mean() * (classes > 2),
        atol=1e-3 * max(scale, 1),
    )
    guess = found.logits(test_x).argmax(1).numpy()
    assert (guess != model.predict(scaler.transform(test_x))).sum() == 0


def test_many_features_are_multiplied_in_single_precision_first(monkeypatch):
    """Each penalty starts from the last, and ends where it ends alone."""
    monkeypatch.setattr(logistic, 'LARGE', 0)
    used, solve = [], logistic._Problem.solve
    monkeypatch.setattr(
        logistic._Problem,
        'solve',
        lambda *args: used.append(args[3]) or solve(*args),
    )
    (x, y), grid = generated(3000, 4, 24), (1e-3, 1e-2, 1e-1, 1.0)
    loss = cross_entropy_of(y, 4)
    together = [*fit_classifiers(x.float(), 4, loss, grid)]
    assert used == [torch.float, torch.double] * len(grid)
    for strength, found in zip(grid, together):
        compare(found, x.float().double().numpy(), y.numpy(), strength)
        alone = fit_classifier(x.float(), 4, loss, strength)
        scale = alone.weight.abs().max()
        torch.testing.assert_close(
            found.weight, alone.weight, atol=2e-3 * scale, rtol=0
        )


def test_single_precision_that_does_not_converge_is_followed_by_double(monkeypatch):
    monkeypatch.setattr(logistic, 'LARGE', 0)
    precisions, solve = [], logistic._Problem.solve

    def fail_in_single(*args):
        precisions.append(args[3])
        return 'rounding' if args[3] == torch.float else solve(*args)

    monkeypatch.setattr(logistic._Problem, 'solve', fail_in_single)
    x, y = blobs(200, 0)
    found = fit_classifier(x, 3, cross_entropy_of(y, 3), 0.1)
    compare(found, x.double().numpy(), y.numpy(), 0.1)
    assert precisions == [torch.float, torch.double]


@pytest.mark.parametrize('value', [0.0, 3.0])
def test_features_that_never_change_tell_the_shares_of_the_classes(value):
    y = torch.tensor([0, 0, 1, 2] * 5)
    found = fit_classifier(torch.full((20, 4), value), 3, cross_entropy_of(y, 3), 1.0)
    torch.testing.assert_close(
        found.logits(torch.full((1, 4), value)).softmax(1),
        torch.tensor([[0.5, 0.25, 0.25]]),
        atol=1e-4,
        rtol=0,
    )
    even = torch.arange(3).repeat(5)
    fit_classifier(torch.full((15, 4), value), 3, cross_entropy_of(even, 3), 1.0)


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize('num', [4, 50])
def test_features_that_are_not_finite(bad, num):
    x, y = blobs(num, 0)
    x[3, 2] = bad
    with pytest.raises(InputError, match='not finite'):
        fit_classifier(x, 3, cross_entropy_of(y, 3), 1.0)

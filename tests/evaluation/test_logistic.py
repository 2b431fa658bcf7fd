"""The solver against scikit-learn's logistic regression."""
import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mmdisco.errors import InputError
from mmdisco.evaluation import cross_entropy_of, fit_classifier, logistic
from mmdisco.evaluation.cache import Features
from mmdisco.evaluation.linear import held_out_rows
from mmdisco.evaluation.protocols import by_lbfgs
from tests.evaluation.test_linear import blobs

STRENGTHS = [1e-3, 1e-1, 10.]


def value(weight, bias, x, y, strength):
    """Mean cross-entropy and penalty, [D, C] and [C]."""
    terms = log_softmax(x @ weight + bias, 1)
    data = -np.mean([row[label] for row, label in zip(terms, y)])
    return data + (weight**2).sum() / (2 * strength * len(y))


def compare(found, x, y, strength):
    """The optimum, and what it predicts, with scikit-learn's."""
    scaler = StandardScaler().fit(x)
    scaled = scaler.transform(x)
    model = LogisticRegression(C=strength, tol=1e-10, max_iter=9999).fit(
        scaled, y)
    np.testing.assert_allclose(found.mean, scaler.mean_, rtol=1e-9)
    np.testing.assert_allclose(found.std, scaler.scale_, rtol=1e-9)
    ours = value(found.weight.numpy(), found.bias.numpy(), scaled, y,
                 strength)
    theirs = value(model.coef_.T, model.intercept_, scaled, y, strength)
    assert abs(ours - theirs) < 5e-5
    return model, scaled


@pytest.mark.parametrize('strength', STRENGTHS)
@pytest.mark.parametrize('chunk', [65536, 64])
@pytest.mark.parametrize('keep', [2**31, 0])
def test_the_optimum_is_scikit_learns(strength, chunk, keep, monkeypatch):
    monkeypatch.setattr(logistic, 'KEEP', keep)
    x, y = blobs(200, 0)
    found = fit_classifier(x, 3, cross_entropy_of(y, 3), strength,
                           chunk=chunk)
    model, scaled = compare(found, x.double().numpy(), y.numpy(), strength)
    np.testing.assert_allclose(
        found.logits(x, chunk=33).softmax(1), model.predict_proba(scaled),
        atol=2e-3)


@pytest.mark.parametrize('strength', STRENGTHS)
def test_only_some_rows_train(strength):
    x, y = blobs(200, 1)
    rows = torch.randperm(
        200, generator=torch.Generator().manual_seed(0))[:90]
    found = fit_classifier(x, 3, cross_entropy_of(y, 3), strength, rows,
                           chunk=40)
    compare(found, x[rows].double().numpy(), y[rows].numpy(), strength)


def test_a_constant_feature_has_no_weight():
    x, y = blobs(200, 2)
    x[:, 1], x[:, 4] = 0., 1234.5678
    found = fit_classifier(x, 3, cross_entropy_of(y, 3), .1, chunk=64)
    compare(found, x.double().numpy(), y.numpy(), .1)
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
    found = fit_classifier(unit, 3, cross_entropy_of(y, 3), 1.,
                           standardise=False)
    model = LogisticRegression(C=1., tol=1e-10).fit(unit.double(), y)
    ours, theirs = (
        value(*params, unit.double().numpy(), y.numpy(), 1.) for params in (
            (found.weight.numpy(), found.bias.numpy()),
            (model.coef_.T, model.intercept_)))
    assert abs(ours - theirs) < 5e-5


def test_a_label_outside_the_classes_is_an_error():
    with pytest.raises(InputError, match='label 3 is outside the 3 classes'):
        cross_entropy_of(torch.tensor([0, 3, 1]), 3)


def test_rows_are_held_out_by_the_seed():
    fit, val = held_out_rows(50, 5, 0)
    assert sorted([*fit.tolist(), *val.tolist()]) == [*range(50)]
    assert len(val) == 5
    assert torch.equal(val, held_out_rows(50, 5, 0)[1])
    assert not torch.equal(val, held_out_rows(50, 5, 1)[1])
    for held_out in (0, 50):
        with pytest.raises(InputError, match=f'{held_out} of 50 training'):
            held_out_rows(50, held_out, 0)


def test_the_protocol_chooses_the_penalty_on_what_is_held_out():
    """Of two views of each image, none is on both sides."""
    (x, y), (test_x, test_y) = blobs(150, 5), blobs(80, 6)
    views = torch.stack([x, x + 20 * torch.randn(
        x.shape, generator=torch.Generator().manual_seed(0))])
    names = [*'abc']
    found = by_lbfgs(Features(views, y, names, {}),
                     Features(test_x[None], test_y, names, {}),
                     held_out=.2, grid=(1e-3, 1e-1), seed=4)
    fit, val = held_out_rows(150, 30, 4)
    scores = {}
    for strength in (1e-3, 1e-1):
        scaler = StandardScaler().fit(views[:, fit].flatten(0, 1))
        model = LogisticRegression(C=strength, tol=1e-8).fit(
            scaler.transform(views[:, fit].flatten(0, 1)), y[fit].repeat(2))
        scores[strength] = 100 * model.score(
            scaler.transform(x[val]), y[val])
    assert scores == pytest.approx(found['validation'])
    assert found['strength'] == max(scores, key=scores.get)
    scaler = StandardScaler().fit(views.flatten(0, 1))
    model = LogisticRegression(C=found['strength'], tol=1e-8).fit(
        scaler.transform(views.flatten(0, 1)), y.repeat(2))
    assert found['top1'] == pytest.approx(
        100 * model.score(scaler.transform(test_x), test_y), abs=1.3)

import warnings
from typing import Dict, Sequence

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

# Inverse strengths of the L2 penalty, the same for whatever is compared.
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.)


def _fit(features: Tensor, labels: Tensor, strength: float):
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
    with warnings.catch_warnings():
        warnings.simplefilter('error', ConvergenceWarning)
        return probe.fit(features.numpy(), labels.numpy())


def _choose(features: Tensor, labels: Tensor, held_out: int,
            grid: Sequence[float]) -> Dict[float, float]:
    """Accuracy on the last features of a probe of the others, by penalty."""
    fit, val = slice(None, -held_out), slice(-held_out, None)
    return {
        strength: _fit(features[fit], labels[fit], strength).score(
            features[val].numpy(), labels[val].numpy())
        for strength in grid
    }


def linear_probe(train_features: Tensor,
                 train_labels: Tensor,
                 test_features: Tensor,
                 test_labels: Tensor,
                 held_out: int,
                 grid: Sequence[float] = GRID) -> Dict[str, float]:
    """Logistic regression on fixed features, by L-BFGS to convergence.

    Features are standardised by the training split. The penalty is chosen on
    the last ``held_out`` training features; then all of them train, and the
    test features are read once.

    Args:
        train_features (Tensor): [M, D].
        train_labels (Tensor): Class indices, [M].
        test_features (Tensor): [N, D].
        test_labels (Tensor): Class indices, [N].
        held_out (int): Training features that choose the penalty.
        grid (Sequence[float]): Inverse penalties to choose from.

    Returns:
        dict: ``accuracy`` on the test features and ``validation`` on the held
        out ones, in per cent, and the ``strength`` chosen.
    """
    scores = _choose(train_features, train_labels, held_out, grid)
    best = max(scores, key=scores.get)
    probe = _fit(train_features, train_labels, best)
    accuracy = probe.score(test_features.numpy(), test_labels.numpy())
    return dict(
        accuracy=100 * accuracy,
        validation=100 * scores[best],
        strength=best)


def linear_logits(features: Tensor,
                  labels: Tensor,
                  held_out: int,
                  grid: Sequence[float] = GRID) -> Tensor:
    """Logits that a linear probe gives the features it learned from.

    Args:
        features (Tensor): [M, D].
        labels (Tensor): Class indices, [M].
        held_out (int): Features that choose the penalty.
        grid (Sequence[float]): Inverse penalties to choose from.

    Returns:
        Tensor: [M, C].
    """
    scores = _choose(features, labels, held_out, grid)
    probe = _fit(features, labels, max(scores, key=scores.get))
    return torch.from_numpy(
        probe.decision_function(features.numpy())).float()

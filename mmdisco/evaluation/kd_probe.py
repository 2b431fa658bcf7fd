from typing import Callable, Dict, Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from .linear import GRID


def fit_classifier(features: Tensor, labels: Tensor, teacher_logits: Tensor,
                   loss: Callable, strength: float) -> Tensor:
    """Classifier of fixed features that learns from a teacher, too.

    L-BFGS to convergence on the mean loss of all images and the penalty that
    scikit-learn's ``LogisticRegression(C=strength)`` has. The problem is
    convex.

    Args:
        features (Tensor): Standardised, [M, D].
        labels (Tensor): Class indices, [M].
        teacher_logits (Tensor): [M, C].
        loss (Callable): As :class:`mmdisco.models.KDLoss`.
        strength (float): Inverse strength of the L2 penalty.

    Returns:
        Tensor: Weights and, in the last row, biases, [D + 1, C].

    Raises:
        RuntimeError: If it does not converge.
    """
    num, dim = features.shape
    classes = teacher_logits.shape[1]
    inputs = torch.cat([features, torch.ones(num, 1)], 1).double()  # [M, D+1]
    target = teacher_logits.double()  # [M, C]

    def objective(flat):
        weights = torch.from_numpy(flat).view(dim + 1, classes)
        weights.requires_grad_()
        value = loss(inputs @ weights, target, labels)
        value = value + weights[:-1].square().sum() / (2 * strength * num)
        value.backward()
        return value.item(), weights.grad.flatten().numpy()

    found = minimize(objective, np.zeros((dim + 1) * classes), jac=True,
                     method='L-BFGS-B', options=dict(maxiter=5000, gtol=1e-5))
    if not found.success:
        raise RuntimeError(f'the classifier did not converge: {found.message}')
    return torch.from_numpy(found.x).float().view(dim + 1, classes)


def kd_probe(train_features: Tensor,
             train_labels: Tensor,
             teacher_logits: Tensor,
             test_features: Tensor,
             test_labels: Tensor,
             held_out: int,
             loss: Callable,
             grid: Sequence[float] = GRID) -> Dict[str, float]:
    """A linear probe that learns from labels and from a teacher's logits.

    Otherwise as :func:`linear_probe`: standardised features, the penalty
    chosen on the last ``held_out`` training features.

    Args:
        train_features (Tensor): [M, D].
        train_labels (Tensor): Class indices, [M].
        teacher_logits (Tensor): Of the same images, [M, C].
        test_features (Tensor): [N, D].
        test_labels (Tensor): Class indices, [N].
        held_out (int): Training features that choose the penalty.
        loss (Callable): As :class:`mmdisco.models.KDLoss`.
        grid (Sequence[float]): Inverse penalties to choose from.

    Returns:
        dict: ``accuracy`` on the test features and ``validation`` on the held
        out ones, in per cent, and the ``strength`` chosen.
    """

    def score(rows: slice, strength: float, features, labels) -> float:
        scaler = StandardScaler().fit(train_features[rows].numpy())
        fitted, scored = (torch.from_numpy(scaler.transform(f.numpy())).float()
                          for f in (train_features[rows], features))
        weights = fit_classifier(fitted, train_labels[rows],
                                 teacher_logits[rows], loss, strength)
        guess = (scored @ weights[:-1] + weights[-1]).argmax(1)
        return 100 * float((guess == labels).double().mean())

    fit, val = slice(None, -held_out), slice(-held_out, None)
    scores = {strength: score(fit, strength, train_features[val],
                              train_labels[val]) for strength in grid}
    best = max(scores, key=scores.get)
    return dict(
        accuracy=score(slice(None), best, test_features, test_labels),
        validation=scores[best], strength=best)

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from mmdisco.errors import InputError
from mmdisco.utils import threads_for
from .votes import check_labels

# Standardised features up to this size are kept, of larger ones a chunk.
KEEP = 2**31
# The largest slope at the optimum, as a share of that at the start: what is
# aimed at, and what will do where rounding ends the search before.
SLOPE, ROUNDED = 1e-6, 1e-4
Loss = Callable[[Tensor, Tensor], Tensor]


class LinearClassifier(NamedTuple):
    """Of features that it standardises first."""

    weight: Tensor  # [D, C]
    bias: Tensor  # [C]
    mean: Tensor  # [D]
    std: Tensor  # [D]

    def logits(self, features: Tensor, chunk: int = 16384) -> Tensor:
        """Of features of any precision, fp32, [N, C]."""
        scaled = self.weight / self.std[:, None]  # [D, C]
        bias = (self.bias - self.mean @ scaled).float()
        return torch.cat(
            [
                torch.addmm(bias, part.to(bias.device).float(), scaled.float())
                for part in features.split(chunk)
            ]
        )


def fit_classifier(
    features: Tensor,
    num_classes: int,
    loss: Loss,
    strength: float,
    rows: Tensor | None = None,
    device: str = 'cpu',
    standardise: bool = True,
    chunk: int = 65536,
) -> LinearClassifier:
    """Train a linear classifier to convergence, by L-BFGS.

    It minimises what scikit-learn's ``LogisticRegression(C=strength)`` does,
    for two classes, too: with N images, the mean loss plus the squared
    weights by :math:`1 / (2 \\, strength \\, N)`. Of two classes these are the
    squares of one weight vector, the difference of the two. The problem is
    convex where the loss is. In double precision.

    Args:
        features (Tensor): [M, D]; they may be memory-mapped.
        num_classes (int): C.
        loss (Callable): Mean loss of some logits, [n, C], given which of
            ``rows`` they are of, [n].
        strength (float): Inverse strength of the L2 penalty.
        rows (Tensor, optional): Which features train, [N]. Defaults to None:
            all.
        device (str): Where it is computed. Defaults to 'cpu'.
        standardise (bool): Take off the mean, divide by the deviation.
            Defaults to True.
        chunk (int): Features at once. Defaults to 65536.

    Returns:
        LinearClassifier: The classifier.

    Raises:
        InputError: If features are not finite, or it does not converge.
    """
    rows = torch.arange(len(features)) if rows is None else rows  # [N]
    num, dim = len(rows), features.shape[1]
    mean, std = (
        _moments(features, rows, chunk)
        if standardise
        else (torch.zeros(dim).double(), torch.ones(dim).double())
    )  # [D] each

    if not bool((mean + std).isfinite().all()):
        raise InputError(
            'the features are not finite: extract them anew, '
            'from a checkpoint whose weights are'
        )

    def prepared(part: Tensor) -> Tensor:
        x = (features[part].double() - mean) / std  # [n, D]
        return x.to(device)

    parts: list[Tensor] = list(rows.split(chunk))
    kept = [prepared(part) for part in parts] if 8 * num * dim <= KEEP else None

    def chunks() -> Iterable[Tensor]:
        return kept or map(prepared, parts)  # [n, D] each

    # two classes have opposite weights, whose squares sum to half of that of
    # their difference
    penalty = (2 if num_classes == 2 else 1) / (strength * num)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        found = torch.from_numpy(flat).to(device).view(dim + 1, -1)
        found.requires_grad_()
        total = 0.0
        for x, part in zip(chunks(), parts):
            value = loss(torch.addmm(found[-1], x, in_basis(found[:-1])), part)
            value = value * (len(part) / num)
            value.backward()
            total += value.item()
        penalised = in_basis(found[:-1]).square().sum() * (penalty / 2)
        penalised.backward()
        return (total + penalised.item(), found.grad.flatten().double().cpu().numpy())

    with threads_for(min(num, chunk) * dim * num_classes):
        in_basis = _even_curvature(chunks(), num, dim, num_classes, penalty)
        start = np.zeros((dim + 1) * num_classes)
        # no slope at all where features never change
        steep = max(np.abs(objective(start)[1]).max(), 1e-8)
        found = minimize(
            objective,
            start,
            jac=True,
            method='L-BFGS-B',
            options=dict(maxiter=5000, maxfun=50000, ftol=0, gtol=SLOPE * steep),
        )
    if not np.abs(found.jac).max() <= ROUNDED * steep:
        raise InputError(
            'the classifier did not converge '
            f'({found.message}): take a stronger penalty'
        )
    weights = torch.from_numpy(found.x).to(device).view(dim + 1, num_classes)
    return LinearClassifier(
        in_basis(weights[:-1]), weights[-1], mean.to(device), std.to(device)
    )


def _even_curvature(
    chunks: Iterable[Tensor], num: int, dim: int, num_classes: int, penalty: float
) -> Callable:
    """A basis of the weights in which the loss is curved about evenly.

    L-BFGS takes a third of the steps there. Of fewer images than features it
    would cost more than it saves.

    Args:
        chunks (Iterable[Tensor]): The features, centred, [n, D] each.
        num (int): N.
        dim (int): D.
        num_classes (int): C.
        penalty (float): Of half the squared weights.

    Returns:
        Callable: From weights in the basis to weights, [D, C].
    """
    if num <= dim:
        return lambda weights: weights
    covariance = sum(x.T @ x for x in chunks) / num  # [D, D]
    values, vectors = torch.linalg.eigh(covariance)
    curvature = values.clamp(min=0) / num_classes + penalty  # at zero
    basis = vectors * curvature.rsqrt()
    return lambda weights: basis @ weights


def cross_entropy_of(labels: Tensor, num_classes: int) -> Loss:
    """The loss of logistic regression, for :func:`fit_classifier`.

    Args:
        labels (Tensor): Class indices of all features, [M].
        num_classes (int): Number of classes.

    Raises:
        InputError: If a label is outside the classes.
    """
    check_labels(labels, num_classes)
    return lambda logits, rows: F.cross_entropy(logits, labels[rows].to(logits.device))


def _moments(features: Tensor, rows: Tensor, chunk: int):
    """Mean and deviation, [D] each; 1 where a feature never changes."""
    parts = rows.split(chunk)
    mean = sum(features[p].double().sum(0) for p in parts) / len(rows)
    square = sum((features[p].double() - mean).square().sum(0) for p in parts) / len(
        rows
    )
    std = square.sqrt()
    constant = std <= 10 * torch.finfo(torch.float).eps * mean.abs()
    return mean, std.masked_fill(constant, 1.0)

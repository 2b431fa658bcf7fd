"""Linear classifier on standardised features, trained to convergence by L-BFGS."""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from mmdisco.errors import InputError
from mmdisco.utils import threads_for
from .votes import check_labels

# Bytes of standardised features to hold in memory; larger ones by chunks.
KEEP = 2**31
# Largest gradient at the optimum relative to that at the start: the target, and
# what is accepted if rounding ends the search early.
SLOPE, ROUNDED = 1e-6, 1e-4
Loss = Callable[[Tensor, Tensor], Tensor]


class LinearClassifier(NamedTuple):
    """A linear classifier of standardised features."""

    weight: Tensor  # [D, C]
    bias: Tensor  # [C]
    mean: Tensor  # [D]
    std: Tensor  # [D]

    def logits(self, features: Tensor, chunk: int = 16384) -> Tensor:
        """Logits in fp32 of features of any precision, [N, C].

        Args:
            features (Tensor): [N, D], not standardised.
            chunk (int): Features per step. Defaults to 16384.
        """
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
    r"""Train a linear classifier to convergence by L-BFGS.

    The objective is that of scikit-learn's ``LogisticRegression(C=strength)``:
    the mean loss of N images plus the squared weights times
    :math:`1 / (2 \, strength \, N)`. With two classes, the penalty is on a
    single weight vector, the difference of the two. Computed in double
    precision; convex if the loss is.

    Args:
        features (Tensor): [M, D], possibly memory-mapped.
        num_classes (int): C.
        loss (Callable): Takes logits [n, C] and their rows [n], returns their
            mean loss.
        strength (float): Inverse strength of the L2 penalty.
        rows (Tensor, optional): Rows of the training features, [N]. Defaults
            to None: all.
        device (str): Device of the computation. Defaults to 'cpu'.
        standardise (bool): Whether to subtract the mean and divide by the
            standard deviation. Defaults to True.
        chunk (int): Features per step. Defaults to 65536.

    Returns:
        LinearClassifier: The classifier.

    Raises:
        InputError: If features are not finite, or L-BFGS does not converge.
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
            'the features are not finite: extract them again '
            'from a checkpoint with finite weights'
        )

    def prepared(part: Tensor) -> Tensor:
        x = (features[part].double() - mean) / std  # [n, D]
        return x.to(device)

    parts: list[Tensor] = list(rows.split(chunk))
    kept = [prepared(part) for part in parts] if 8 * num * dim <= KEEP else None

    def chunks() -> Iterable[Tensor]:
        return kept or map(prepared, parts)  # [n, D] each

    # the weights of two classes are opposite: their squares sum to half the
    # square of their difference
    penalty = (2 if num_classes == 2 else 1) / (strength * num)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = torch.from_numpy(flat).to(device).view(dim + 1, -1)
        weights.requires_grad_()
        total = 0.0
        for x, part in zip(chunks(), parts):
            value = loss(torch.addmm(weights[-1], x, in_basis(weights[:-1])), part)
            value = value * (len(part) / num)
            value.backward()
            total += value.item()
        penalised = in_basis(weights[:-1]).square().sum() * (penalty / 2)
        penalised.backward()
        slope = cast(Tensor, weights.grad).flatten().double().cpu().numpy()
        return total + penalised.item(), slope

    with threads_for(min(num, chunk) * dim * num_classes):
        in_basis = _even_curvature(chunks(), num, dim, num_classes, penalty)
        start = np.zeros((dim + 1) * num_classes)
        # the gradient is zero if all features are constant
        steep = max(np.abs(objective(start)[1]).max(), 1e-8)
        result = minimize(
            objective,
            start,
            jac=True,
            method='L-BFGS-B',
            options=dict(maxiter=5000, maxfun=50000, ftol=0, gtol=SLOPE * steep),
        )
    if not np.abs(result.jac).max() <= ROUNDED * steep:
        raise InputError(
            'the classifier did not converge '
            f'({result.message}): set a stronger penalty'
        )
    weights = torch.from_numpy(result.x).to(device).view(dim + 1, num_classes)
    return LinearClassifier(
        in_basis(weights[:-1]), weights[-1], mean.to(device), std.to(device)
    )


def _even_curvature(
    chunks: Iterable[Tensor], num: int, dim: int, num_classes: int, penalty: float
) -> Callable:
    """A basis of the weights with roughly uniform curvature of the loss.

    It reduces the steps of L-BFGS to a third. With fewer images than features,
    the identity: the basis would cost more than it saves.

    Args:
        chunks (Iterable[Tensor]): Centred features, [n, D] each.
        num (int): N.
        dim (int): D.
        num_classes (int): C.
        penalty (float): Factor of half the squared weights.

    Returns:
        Callable: Maps weights in the basis to weights, [D, C].
    """
    if num <= dim:
        return lambda weights: weights
    covariance = _total(x.T @ x for x in chunks) / num  # [D, D]
    values, vectors = torch.linalg.eigh(covariance)
    curvature = values.clamp(min=0) / num_classes + penalty  # at zero
    basis = vectors * curvature.rsqrt()
    return lambda weights: basis @ weights


def cross_entropy_of(labels: Tensor, num_classes: int) -> Loss:
    """Cross-entropy, as the loss of :func:`fit_classifier`.

    Args:
        labels (Tensor): Class indices of all features, [M].
        num_classes (int): Number of classes.

    Returns:
        Callable: The loss.

    Raises:
        InputError: If a label is outside the classes.
    """
    check_labels(labels, num_classes)
    return lambda logits, rows: F.cross_entropy(logits, labels[rows].to(logits.device))


def _moments(features: Tensor, rows: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, [D] each; 1 for constant features."""
    parts = rows.split(chunk)
    mean = _total(features[p].double().sum(0) for p in parts) / len(rows)
    square = _total((features[p].double() - mean).square().sum(0) for p in parts)
    std = (square / len(rows)).sqrt()
    constant = std <= 10 * torch.finfo(torch.float).eps * mean.abs()
    return mean, std.masked_fill(constant, 1.0)


def _total(parts: Iterable[Tensor]) -> Tensor:
    """Sum of tensors of one shape."""
    return reduce(torch.add, parts)

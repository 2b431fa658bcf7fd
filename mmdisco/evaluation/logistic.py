from typing import Callable, List, NamedTuple, Optional

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from mmdisco.errors import InputError
from .knn import check_labels
from .threads import threads_for

# Standardised features up to this size are kept, of larger ones a chunk.
KEEP = 2**31
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
        return torch.cat([
            torch.addmm(bias, part.to(bias.device).float(), scaled.float())
            for part in features.split(chunk)])


def fit_classifier(features: Tensor,
                   num_classes: int,
                   loss: Loss,
                   strength: float,
                   rows: Optional[Tensor] = None,
                   device: str = 'cpu',
                   standardise: bool = True,
                   chunk: int = 65536) -> LinearClassifier:
    """Train a linear classifier to convergence, by L-BFGS.

    Of the mean loss over all images and the penalty that scikit-learn's
    ``LogisticRegression(C=strength)`` has. The problem is convex where the
    loss is. In double precision.

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
        InputError: If it does not converge.
    """
    rows = torch.arange(len(features)) if rows is None else rows  # [N]
    num, dim = len(rows), features.shape[1]
    mean, std = _moments(features, rows, chunk) if standardise else (
        torch.zeros(dim).double(), torch.ones(dim).double())  # [D] each

    def prepared(part: Tensor) -> Tensor:
        x = (features[part].double() - mean) / std  # [n, D]
        return x.to(device)

    parts: List[Tensor] = list(rows.split(chunk))
    keep = 8 * num * dim <= KEEP
    kept = [prepared(part) for part in parts] if keep else None

    def objective(flat: np.ndarray):
        found = torch.from_numpy(flat).to(device).view(dim + 1, -1)
        found.requires_grad_()
        total = 0.
        for i, part in enumerate(parts):
            x = kept[i] if keep else prepared(part)  # [n, D]
            value = loss(torch.addmm(found[-1], x, found[:-1]), part)
            value = value * (len(part) / num)
            value.backward()
            total += value.item()
        penalty = found[:-1].square().sum() / (2 * strength * num)
        penalty.backward()
        return (total + penalty.item(),
                found.grad.flatten().double().cpu().numpy())

    with threads_for(min(num, chunk) * dim * num_classes):
        found = minimize(
            objective, np.zeros((dim + 1) * num_classes), jac=True,
            method='L-BFGS-B', options=dict(maxiter=5000, gtol=1e-5))
    if not found.success:
        raise InputError('the classifier did not converge '
                         f'({found.message}): are all features finite?')
    weights = torch.from_numpy(found.x).view(dim + 1, num_classes)
    return LinearClassifier(*(t.to(device) for t in (
        weights[:-1], weights[-1], mean, std)))


def cross_entropy_of(labels: Tensor, num_classes: int) -> Loss:
    """The loss of logistic regression, for :func:`fit_classifier`.

    Args:
        labels (Tensor): Class indices of all features, [M].
        num_classes (int): Number of classes.

    Raises:
        InputError: If a label is outside the classes.
    """
    check_labels(labels, num_classes)
    return lambda logits, rows: F.cross_entropy(
        logits, labels[rows].to(logits.device))


def _moments(features: Tensor, rows: Tensor, chunk: int):
    """Mean and deviation, [D] each; 1 where a feature never changes."""
    parts = rows.split(chunk)
    mean = sum(features[p].double().sum(0) for p in parts) / len(rows)
    square = sum((features[p].double() - mean).square().sum(0)
                 for p in parts) / len(rows)
    std = square.sqrt()
    constant = std <= 10 * torch.finfo(torch.float).eps * mean.abs()
    return mean, std.masked_fill(constant, 1.)

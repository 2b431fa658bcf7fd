"""Linear classifier on standardised features, trained to convergence by L-BFGS."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple

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
# Largest gradient relative to that of zero weights: where single precision hands
# over to double, the target there, and what is accepted if rounding ends the search
# early.
SINGLE, SLOPE, ROUNDED = 1e-5, 1e-6, 1e-4
# Elements of the features above which single precision is tried first.
LARGE = 2**21
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
    single weight vector, the difference of the two. Convex if the loss is.
    Computed in double precision, to which the matrix products of many features
    come close in single precision first.

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
    (classifier,) = fit_classifiers(
        features, num_classes, loss, [strength], rows, device, standardise, chunk
    )
    return classifier


def fit_classifiers(
    features: Tensor,
    num_classes: int,
    loss: Loss,
    strengths: Sequence[float],
    rows: Tensor | None = None,
    device: str = 'cpu',
    standardise: bool = True,
    chunk: int = 65536,
) -> Iterator[LinearClassifier]:
    """Train :func:`fit_classifier` for several penalties, each from the last.

    Args:
        features (Tensor): [M, D], possibly memory-mapped.
        num_classes (int): C.
        loss (Callable): As in :func:`fit_classifier`.
        strengths (Sequence[float]): Inverse strengths of the L2 penalty,
            fastest in ascending or descending order.
        rows (Tensor, optional): Rows of the training features, [N]. Defaults
            to None: all.
        device (str): Device of the computation. Defaults to 'cpu'.
        standardise (bool): Whether to standardise. Defaults to True.
        chunk (int): Features per step. Defaults to 65536.

    Yields:
        LinearClassifier: The classifier of each strength.

    Raises:
        InputError: As :func:`fit_classifier`.
    """
    rows = torch.arange(len(features)) if rows is None else rows  # [N]
    problem = _Problem(features, num_classes, loss, rows, device, standardise, chunk)
    single = len(rows) * problem.dim > LARGE
    weights = torch.zeros(num_classes, problem.dim + 1, dtype=torch.double)
    for strength in strengths:
        with threads_for(min(len(rows), chunk) * problem.dim * num_classes):
            if single:
                near = problem.solve(weights, strength, torch.float)
                weights = near if torch.is_tensor(near) else weights
            found = problem.solve(weights, strength, torch.double)
        if not torch.is_tensor(found):
            raise InputError(
                f'the classifier did not converge ({found}): set a stronger penalty'
            )
        weights = found
        yield LinearClassifier(
            weights[:, :-1].T.contiguous().to(device),
            weights[:, -1].clone().to(device),
            problem.mean.to(device),
            problem.std.to(device),
        )


class _Problem:
    """Standardised features and labels of classifiers, for any penalty.

    Args:
        features (Tensor): [M, D].
        num_classes (int): C.
        loss (Callable): Mean loss of logits [n, C] and their rows [n].
        rows (Tensor): Rows of the training features, [N].
        device (str): Device of the computation.
        standardise (bool): Whether to standardise.
        chunk (int): Features per step.

    Raises:
        InputError: If features are not finite.
    """

    def __init__(
        self,
        features: Tensor,
        num_classes: int,
        loss: Loss,
        rows: Tensor,
        device: str,
        standardise: bool,
        chunk: int,
    ) -> None:
        self.features, self.num_classes, self.loss = features, num_classes, loss
        self.num, self.dim = len(rows), features.shape[1]
        self.device = device
        self.parts: list[Tensor] = list(rows.split(chunk))
        self.mean, self.std = (
            _moments(features, self.parts)
            if standardise
            else (torch.zeros(self.dim).double(), torch.ones(self.dim).double())
        )  # [D] each
        if not bool((self.mean + self.std).isfinite().all()):
            raise InputError(
                'the features are not finite: extract them again '
                'from a checkpoint with finite weights'
            )
        self._kept: dict[torch.dtype, list[Tensor]] = {}
        self._spectrum: tuple[Tensor, Tensor] | None = None

    def chunks(self, dtype: torch.dtype) -> Iterable[Tensor]:
        """Standardised features, [n, D] each."""
        both = torch.float.itemsize + torch.double.itemsize
        if self.num * self.dim * both > KEEP:
            return (self._prepared(part, dtype) for part in self.parts)
        if dtype not in self._kept:
            self._kept[dtype] = [self._prepared(part, dtype) for part in self.parts]
        return self._kept[dtype]

    def _prepared(self, part: Tensor, dtype: torch.dtype) -> Tensor:
        x = self.features[part].double().sub_(self.mean).div_(self.std)  # [n, D]
        return x.to(self.device, dtype)

    def solve(self, start: Tensor, strength: float, dtype: torch.dtype) -> Tensor | str:
        """Weights and biases at the optimum.

        Args:
            start (Tensor): Weights and biases to start from, [C, D + 1].
            strength (float): Inverse strength of the penalty.
            dtype (torch.dtype): Precision of products with the features.

        Returns:
            Tensor or str: [C, D + 1], or the reason why it does not converge.
        """
        # the weights of two classes are opposite: their squares sum to half the
        # square of their difference
        penalty = (2 if self.num_classes == 2 else 1) / (strength * self.num)
        basis = self._even_curvature(penalty, dtype)

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            inner = torch.from_numpy(flat).to(self.device).view(len(start), -1)
            weight, bias = inner[:, :-1], inner[:, -1]  # [C, D], [C]
            weight = weight if basis is None else weight @ basis.T
            loss, slope, bias_slope = self._loss(weight, bias, dtype)
            loss += weight.square().sum().item() * (penalty / 2)
            slope += penalty * weight
            slope = slope if basis is None else slope @ basis
            slopes = torch.cat([slope, bias_slope[:, None]], 1)
            return loss, slopes.flatten().cpu().numpy()

        inner = start.clone()
        if basis is not None:
            inner[:, :-1] = torch.linalg.solve(basis.cpu(), start[:, :-1].T).T
        # the gradient is zero if all features are constant
        steep = max(np.abs(objective(np.zeros(start.numel()))[1]).max(), 1e-8)
        single = dtype == torch.float
        result = minimize(
            objective,
            inner.flatten().numpy(),
            jac=True,
            method='L-BFGS-B',
            options=dict(
                maxiter=5000,
                maxfun=50000,
                ftol=0,
                gtol=(SINGLE if single else SLOPE) * steep,
                maxls=5 if single else 20,  # rounding is noticed soon
            ),
        )
        slope = np.abs(result.jac).max() / steep
        if not slope <= ROUNDED:
            return str(result.message)
        found = torch.from_numpy(result.x).view(start.shape)
        if basis is not None:
            found[:, :-1] = found[:, :-1] @ basis.cpu().T
        return found

    def _loss(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> tuple[float, Tensor, Tensor]:
        """Mean loss and its slopes by weights [C, D] and biases [C]."""
        rounded, rounded_bias = weight.to(dtype), bias.to(dtype)
        slope, bias_slope = torch.zeros_like(weight), torch.zeros_like(bias)
        total = 0.0
        for x, part in zip(self.chunks(dtype), self.parts):
            logits = F.linear(x, rounded, rounded_bias).double().requires_grad_()
            value = self.loss(logits, part) * (len(part) / self.num)
            (residual,) = torch.autograd.grad(value, logits)  # [n, C]
            slope += residual.to(dtype).T @ x
            bias_slope += residual.sum(0)
            total += value.item()
        return total, slope, bias_slope

    def _even_curvature(self, penalty: float, dtype: torch.dtype) -> Tensor | None:
        """A basis of the weights with roughly uniform curvature of the loss.

        It reduces the steps of L-BFGS to a third. With fewer images than
        features, none: the basis would cost more than it saves.

        Args:
            penalty (float): Factor of half the squared weights.
            dtype (torch.dtype): Precision of the products.

        Returns:
            Tensor or None: Maps weights in the basis to weights, [D, D].
        """
        if self.num <= self.dim:
            return None
        if self._spectrum is None:
            covariance = _total((x.T @ x).double() for x in self.chunks(dtype))
            self._spectrum = torch.linalg.eigh(covariance / self.num)
        values, vectors = self._spectrum
        curvature = values.clamp(min=0) / self.num_classes + penalty  # at zero
        return vectors * curvature.rsqrt()


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


def _moments(features: Tensor, parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, [D] each; 1 for constant features."""
    num = sum(map(len, parts))
    mean = _total(features[p].double().sum(0) for p in parts) / num
    square = _total(features[p].double().sub_(mean).square_().sum(0) for p in parts)
    std = (square / num).sqrt()
    constant = std <= 10 * torch.finfo(torch.float).eps * mean.abs()
    return mean, std.masked_fill(constant, 1.0)


def _total(parts: Iterable[Tensor]) -> Tensor:
    """Sum of tensors of one shape."""
    return reduce(torch.add, parts)

"""Linear probes by L-BFGS, whose penalty is chosen on held-out images."""

from collections.abc import Callable, Sequence

from torch import Tensor

from .choice import HeldOutScore, best_setting, held_out_score, last_rows
from .logistic import (
    LinearClassifier,
    cross_entropy_of,
    fit_classifier,
    fit_classifiers,
)

# Inverse L2 penalties, the same for all models.
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def strength_scores(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    fit: Tensor,
    val: Tensor,
    grid: Sequence[float],
    device: str = 'cpu',
) -> dict[float, HeldOutScore]:
    """Held-out score for each L2 penalty.

    Args:
        features (Tensor): [M, D].
        labels (Tensor): Class indices, [M].
        num_classes (int): Number of classes.
        fit (Tensor): Training rows.
        val (Tensor): Held-out rows.
        grid (Sequence[float]): Inverse penalties.
        device (str): Device of the computation. Defaults to 'cpu'.

    Returns:
        dict: Held-out score by inverse penalty.
    """
    loss = cross_entropy_of(labels, num_classes)
    probes = fit_classifiers(features, num_classes, loss, grid, fit, device)
    return {
        strength: held_out_score(probe.logits(features[val]), labels[val])
        for strength, probe in zip(grid, probes)
    }


def linear_probe(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    held_out: int,
    grid: Sequence[float] = GRID,
) -> dict[str, float]:
    """Logistic regression on fixed features, by L-BFGS to convergence.

    - Features are standardised by the training split.
    - The penalty is chosen on the last ``held_out`` training features, by
      :func:`best_setting`.
    - Then all training features are used with that penalty.
    - The test features are read once.

    Args:
        train_features (Tensor): [M, D].
        train_labels (Tensor): Class indices, [M].
        test_features (Tensor): [N, D].
        test_labels (Tensor): Class indices, [N].
        held_out (int): Number of training features that choose the penalty.
        grid (Sequence[float]): Inverse penalties to choose from.

    Returns:
        dict: ``accuracy`` on the test features and ``validation`` on the held
        out ones, in per cent, and the chosen ``strength``.

    Raises:
        InputError: If a class occurs only among the held-out features.
    """
    best, validation = _choose(train_features, train_labels, held_out, grid)
    probe = _fit(train_features, train_labels, best)
    guess = probe.logits(test_features).argmax(1)
    return dict(
        accuracy=100 * float((guess == test_labels).double().mean()),
        validation=validation,
        strength=best,
    )


def linear_logits(
    features: Tensor, labels: Tensor, held_out: int, grid: Sequence[float] = GRID
) -> Tensor:
    """Logits of a linear probe on its own training features.

    Args:
        features (Tensor): [M, D].
        labels (Tensor): Class indices, [M].
        held_out (int): Number of features that choose the penalty.
        grid (Sequence[float]): Inverse penalties to choose from.

    Returns:
        Tensor: [M, C].
    """
    best, _ = _choose(features, labels, held_out, grid)
    return _fit(features, labels, best).logits(features)


def _fit(features: Tensor, labels: Tensor, strength: float) -> LinearClassifier:
    num_classes = int(labels.max()) + 1
    return fit_classifier(
        features, num_classes, cross_entropy_of(labels, num_classes), strength
    )


def _choose(
    features: Tensor, labels: Tensor, held_out: int, grid: Sequence[float]
) -> tuple[float, float]:
    """Best inverse penalty on the last features, and its top-1 there in %."""
    scores = strength_scores(
        features, labels, int(labels.max()) + 1, *last_rows(labels, held_out), grid
    )
    best = best_setting(scores)
    return best, scores[best].percent


def kd_probe(
    train_features: Tensor,
    train_labels: Tensor,
    teacher_logits: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    held_out: int,
    loss: Callable,
    grid: Sequence[float] = GRID,
) -> dict[str, float]:
    """Linear probe trained on labels and a teacher's logits.

    The protocol is that of :func:`linear_probe`; the penalty is chosen by the
    labels.

    Args:
        train_features (Tensor): [M, D].
        train_labels (Tensor): Class indices, [M].
        teacher_logits (Tensor): Logits of the training images, [M, C].
        test_features (Tensor): [N, D].
        test_labels (Tensor): Class indices, [N].
        held_out (int): Number of training features that choose the penalty.
        loss (Callable): Loss of logits, teacher's logits and labels, e.g.
            :class:`mmdisco.models.KDLoss`.
        grid (Sequence[float]): Inverse penalties to choose from.

    Returns:
        dict: ``accuracy`` on the test features and ``validation`` on the held
        out ones, in per cent, and the chosen ``strength``.

    Raises:
        InputError: If a class occurs only among the held-out features.
    """
    num_classes = teacher_logits.shape[1]

    def objective(logits: Tensor, part: Tensor) -> Tensor:
        return loss(logits, teacher_logits[part].to(logits), train_labels[part])

    fit, val = last_rows(train_labels, held_out)
    probes = fit_classifiers(train_features, num_classes, objective, grid, fit)
    scores = {
        strength: held_out_score(probe.logits(train_features[val]), train_labels[val])
        for strength, probe in zip(grid, probes)
    }
    best = best_setting(scores)
    probe = fit_classifier(train_features, num_classes, objective, best)
    return dict(
        accuracy=held_out_score(probe.logits(test_features), test_labels).percent,
        validation=scores[best].percent,
        strength=best,
    )

from collections.abc import Callable, Sequence

from torch import Tensor

from .choice import HeldOutScore, best_setting, held_out_score, last_rows
from .logistic import LinearClassifier, cross_entropy_of, fit_classifier

# Inverse strengths of the L2 penalty, the same for whatever is compared.
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
        fit (Tensor): Rows that train.
        val (Tensor): Rows that are scored.
        grid (Sequence[float]): Inverse penalties.
        device (str): Where it is computed. Defaults to 'cpu'.

    Returns:
        dict: Scores of ``val`` by inverse penalty.
    """
    loss = cross_entropy_of(labels, num_classes)
    scores = {}
    for strength in grid:
        probe = fit_classifier(features, num_classes, loss, strength, fit, device)
        scores[strength] = held_out_score(probe.logits(features[val]), labels[val])
    return scores


def linear_probe(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    held_out: int,
    grid: Sequence[float] = GRID,
) -> dict[str, float]:
    """Logistic regression on fixed features, by L-BFGS to convergence.

    Features are standardised by the training split. The penalty is chosen on
    the last ``held_out`` training features, by :func:`best_setting`; then all
    of them train, and the test features are read once.

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

    Raises:
        InputError: If a class is only among the last ``held_out``.
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
    """Logits that a linear probe gives the features it learned from.

    Args:
        features (Tensor): [M, D].
        labels (Tensor): Class indices, [M].
        held_out (int): Features that choose the penalty.
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
    """The best penalty on the last features, and its per cent there."""
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
    """A linear probe that learns from labels and from a teacher's logits.

    Otherwise as :func:`linear_probe`: standardised features, the penalty
    chosen on the last ``held_out`` training features by the labels.

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

    Raises:
        InputError: If a class is only among the last ``held_out``.
    """
    num_classes = teacher_logits.shape[1]

    def objective(logits: Tensor, part: Tensor) -> Tensor:
        return loss(logits, teacher_logits[part].to(logits), train_labels[part])

    def score(
        fit: Tensor | None, strength: float, features: Tensor, labels: Tensor
    ) -> HeldOutScore:
        probe = fit_classifier(train_features, num_classes, objective, strength, fit)
        return held_out_score(probe.logits(features), labels)

    fit, val = last_rows(train_labels, held_out)
    scores = {
        strength: score(fit, strength, train_features[val], train_labels[val])
        for strength in grid
    }
    best = best_setting(scores)
    return dict(
        accuracy=score(None, best, test_features, test_labels).percent,
        validation=scores[best].percent,
        strength=best,
    )

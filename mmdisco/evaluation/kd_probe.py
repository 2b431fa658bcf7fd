from collections.abc import Callable, Sequence

from torch import Tensor

from .choice import HeldOutScore, best_setting, held_out_score, last_rows
from .linear import GRID
from .logistic import fit_classifier


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

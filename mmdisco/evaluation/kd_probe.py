from typing import Callable, Dict, Sequence

import torch
from torch import Tensor

from .linear import GRID
from .logistic import fit_classifier


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

    num_classes = teacher_logits.shape[1]
    rows = torch.arange(len(train_features))

    def objective(logits: Tensor, part: Tensor) -> Tensor:
        return loss(logits, teacher_logits[part].to(logits),
                    train_labels[part])

    def score(fit: Tensor, strength: float, features, labels) -> float:
        probe = fit_classifier(train_features, num_classes, objective,
                               strength, fit)
        guess = probe.logits(features).argmax(1)
        return 100 * float((guess == labels).double().mean())

    scores = {strength: score(rows[:-held_out], strength,
                              train_features[-held_out:],
                              train_labels[-held_out:]) for strength in grid}
    best = max(scores, key=scores.get)
    return dict(
        accuracy=score(rows, best, test_features, test_labels),
        validation=scores[best], strength=best)

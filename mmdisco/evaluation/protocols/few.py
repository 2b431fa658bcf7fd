from collections.abc import Sequence

import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from ..features.cache import Features
from ..probes.choice import (
    HeldOutScore,
    best_setting,
    folds_of,
    rows_of_share,
    rows_per_class,
)
from ..probes.linear_probe import GRID, strength_scores
from ..probes.logistic import cross_entropy_of, fit_classifier
from ..probes.scores import top_k

FOLDS = 5


def by_share(
    train: Features,
    test: Features,
    percent: str,
    repeats: int = 5,
    seed: int = 0,
    device: str = 'cpu',
) -> dict:
    """A linear probe that sees a share of the labels.

    Logistic regression to convergence; its penalty is chosen by stratified
    cross-validation among the labelled images, so no other label is used.

    Args:
        train (Features): Its first view.
        test (Features): What is scored.
        percent (str): Of the labels, as '1'.
        repeats (int): Choices of images. Defaults to 5.
        seed (int): Of the first choice, then it counts up. Defaults to 0.
        device (str): Where it is computed. Defaults to 'cpu'.

    Returns:
        dict: ``images``, and of :func:`mean_and_interval`.

    Raises:
        InputError: If the share leaves out a class, or has no class twice.
    """
    classes = len(train.classes)
    loss = cross_entropy_of(train.labels, classes)
    scores = []
    for i in range(repeats):
        rows = rows_of_share(train.labels, classes, percent, seed + i)
        best = _cross_validated(train, rows, device)
        probe = fit_classifier(train.plain, classes, loss, best, rows, device)
        scores.append(top_k(probe.logits(test.plain), test.labels, 1))
    return dict(images=len(rows), **mean_and_interval(scores))


def check_shares(labels: Tensor, num_classes: int, percents: Sequence[str]) -> None:
    """Find shares that :func:`by_share` can't take.

    Args:
        labels (Tensor): Class indices, [M].
        num_classes (int): Number of classes.
        percents (Sequence[str]): Of the labels.

    Raises:
        InputError: If one leaves out a class, or has no class twice.
    """
    for percent in percents:
        rows = rows_of_share(labels, num_classes, percent, 0)
        next(folds_of(labels, rows, FOLDS, 0))


def by_few_shots(
    train: Features,
    test: Features,
    k: int,
    repeats: int = 20,
    seed: int = 0,
    device: str = 'cpu',
) -> dict:
    """A classifier that sees k images of each class.

    Logistic regression (C = 1) on features of unit length, as `Tian et al.
    <https://arxiv.org/abs/2003.11539>`_: so few images can't choose a
    penalty.

    Args:
        train (Features): Its first view.
        test (Features): What is scored.
        k (int): Images of each class.
        repeats (int): Choices of images. Defaults to 20.
        seed (int): Of the first choice, then it counts up. Defaults to 0.
        device (str): Where it is computed. Defaults to 'cpu'.

    Returns:
        dict: ``images``, and of :func:`mean_and_interval`.

    Raises:
        InputError: If a class has fewer than ``k`` images.
    """
    classes = len(train.classes)
    unit = F.normalize(test.plain.float(), dim=1)  # [N, D]
    scores = []
    for i in range(repeats):
        rows = rows_per_class(train.labels, classes, k, seed + i)
        few = F.normalize(train.plain[rows].float(), dim=1)  # [k * C, D]
        loss = cross_entropy_of(train.labels[rows], classes)
        probe = fit_classifier(
            few, classes, loss, 1.0, device=device, standardise=False
        )
        scores.append(top_k(probe.logits(unit), test.labels, 1))
    return dict(images=k * classes, **mean_and_interval(scores))


def mean_and_interval(scores: list[float]) -> dict:
    """Mean of repeats, and how well it is known.

    Args:
        scores (list[float]): At least one.

    Returns:
        dict: ``top1``, their mean; ``interval``, half of its 95 % confidence
        interval by Student's t, None of one repeat; ``repeats``.
    """
    values = torch.tensor(scores, dtype=torch.double)
    interval = None
    if len(scores) > 1:
        wide = stats.t.ppf(0.975, len(scores) - 1)
        interval = float(wide * values.std() / len(scores) ** 0.5)
    return dict(top1=float(values.mean()), interval=interval, repeats=scores)


def plus_minus(found: dict) -> str:
    """What :func:`mean_and_interval` found, in print."""
    spread = '' if found['interval'] is None else f' ± {found["interval"]:.2f}'
    return f'{found["top1"]:.2f}{spread}'


def _cross_validated(train: Features, rows: Tensor, device: str) -> float:
    """The best penalty over folds of some labelled images."""
    total = dict.fromkeys(GRID, HeldOutScore(0, 0.0, 0))
    for fit, val in folds_of(train.labels, rows, FOLDS, 0):
        scores = strength_scores(
            train.plain, train.labels, len(train.classes), fit, val, GRID, device
        )
        total = {
            strength: total[strength].plus(score) for strength, score in scores.items()
        }
    return best_setting(total)

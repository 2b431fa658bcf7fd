"""Linear probes with few labels, on cached features.

A fraction of the labels (semi-supervised):

- Labelled images drawn in proportion to the classes, 5 draws.
- Multinomial logistic regression to convergence, features standardised by the
  labelled images.
- Penalty: 5-fold stratified cross-validation among the labelled images; no
  other label is used.

Few-shot, k images per class:

- k labelled images of each class, 20 draws.
- Logistic regression with C = 1 on features of unit length, without
  standardisation (`Tian et al. <https://arxiv.org/abs/2003.11539>`_): so few
  images can't choose a penalty.

Both:

- First view of the training images; score: mean top-1 on all test images over
  the draws, with a 95 % confidence interval by Student's t.
"""

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
    rows_of_fraction,
    rows_per_class,
)
from ..probes.linear_probe import GRID, strength_scores
from ..probes.logistic import cross_entropy_of, fit_classifier
from ..probes.scores import top_k

FOLDS = 5


def label_fraction(
    train: Features,
    test: Features,
    percent: str,
    repeats: int = 5,
    seed: int = 0,
    device: str = 'cpu',
) -> dict:
    """Linear probe on a fraction of the labels.

    Args:
        train (Features): Training images, first view.
        test (Features): Test images, first view.
        percent (str): Percentage of the labels, e.g. '1'.
        repeats (int): Draws of labelled images. Defaults to 5.
        seed (int): Seed of the first draw, incremented for each further one.
            Defaults to 0.
        device (str): Device of the computation. Defaults to 'cpu'.

    Returns:
        dict: ``images``, the number of labelled images, and the result of
        :func:`mean_and_interval`.

    Raises:
        InputError: If a class has no labelled image, or none has two.
    """
    classes = len(train.classes)
    loss = cross_entropy_of(train.labels, classes)
    scores = []
    for i in range(repeats):
        rows = rows_of_fraction(train.labels, classes, percent, seed + i)
        best = _cross_validated(train, rows, device)
        probe = fit_classifier(train.plain, classes, loss, best, rows, device)
        scores.append(top_k(probe.logits(test.plain), test.labels, 1))
    return dict(images=len(rows), **mean_and_interval(scores))


def check_fractions(labels: Tensor, num_classes: int, percents: Sequence[str]) -> None:
    """Check that :func:`label_fraction` accepts the percentages.

    Args:
        labels (Tensor): Class indices, [M].
        num_classes (int): Number of classes.
        percents (Sequence[str]): Percentages of the labels.

    Raises:
        InputError: If a class has no labelled image, or none has two.
    """
    for percent in percents:
        rows = rows_of_fraction(labels, num_classes, percent, 0)
        next(folds_of(labels, rows, FOLDS, 0))


def few_shot_accuracy(
    train: Features,
    test: Features,
    k: int,
    repeats: int = 20,
    seed: int = 0,
    device: str = 'cpu',
) -> dict:
    """Linear probe on k images per class.

    Args:
        train (Features): Training images, first view.
        test (Features): Test images, first view.
        k (int): Labelled images per class.
        repeats (int): Draws of labelled images. Defaults to 20.
        seed (int): Seed of the first draw, incremented for each further one.
            Defaults to 0.
        device (str): Device of the computation. Defaults to 'cpu'.

    Returns:
        dict: ``images``, the number of labelled images, and the result of
        :func:`mean_and_interval`.

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
    """Mean of repeated scores with its 95 % confidence interval.

    Args:
        scores (list[float]): At least one score.

    Returns:
        dict: ``top1``, the mean; ``interval``, half the width of the
        interval by Student's t, None for a single score; ``repeats``, the
        scores.
    """
    values = torch.tensor(scores, dtype=torch.double)
    interval = None
    if len(scores) > 1:
        quantile = stats.t.ppf(0.975, len(scores) - 1)
        interval = float(quantile * values.std() / len(scores) ** 0.5)
    return dict(top1=float(values.mean()), interval=interval, repeats=scores)


def plus_minus(score: dict) -> str:
    """Format the result of :func:`mean_and_interval`."""
    spread = '' if score['interval'] is None else f' ± {score["interval"]:.2f}'
    return f'{score["top1"]:.2f}{spread}'


def _cross_validated(train: Features, rows: Tensor, device: str) -> float:
    """Choose the inverse penalty by cross-validation among labelled rows."""
    total = dict.fromkeys(GRID, HeldOutScore(0, 0.0, 0))
    for fit, val in folds_of(train.labels, rows, FOLDS, 0):
        scores = strength_scores(
            train.plain, train.labels, len(train.classes), fit, val, GRID, device
        )
        total = {
            strength: total[strength].plus(score) for strength, score in scores.items()
        }
    return best_setting(total)

"""Choice of a probe's setting on held-out images, and of its training images."""

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdisco.datasets.subsets import class_shares, read_share
from mmdisco.errors import InputError


class HeldOutScore(NamedTuple):
    """Score of a classifier on held-out images."""

    hits: int  # correctly classified images
    loss: float  # sum of the cross-entropies of all images, nats
    num: int  # number of images

    @property
    def percent(self) -> float:
        """Top-1 accuracy in per cent."""
        return 100 * self.hits / self.num

    def plus(self, other: 'HeldOutScore') -> 'HeldOutScore':
        """Score of the images of both."""
        return HeldOutScore(
            self.hits + other.hits, self.loss + other.loss, self.num + other.num
        )


def held_out_score(logits: Tensor, labels: Tensor) -> HeldOutScore:
    """Score the logits of held-out images.

    Args:
        logits (Tensor): [N, C].
        labels (Tensor): Class indices, [N].
    """
    logits, labels = logits.cpu().double(), labels.cpu()
    return HeldOutScore(
        int((logits.argmax(1) == labels).sum()),
        float(F.cross_entropy(logits, labels, reduction='sum')),
        len(labels),
    )


def best_setting(scores: dict[float, HeldOutScore]) -> float:
    """The setting with the most hits on held-out images.

    Ties, frequent with few images, are broken by the lowest cross-entropy: the
    strongest penalty would only predict the largest class. Then the first.

    Args:
        scores (dict[float, HeldOutScore]): Held-out score by setting.
    """
    return min(
        scores, key=lambda setting: (-scores[setting].hits, scores[setting].loss)
    )


def held_out_rows(labels: Tensor, held_out: int, seed: int) -> tuple[Tensor, Tensor]:
    """Split images at random, stratified by class.

    At least one image of each class is used for training.

    Args:
        labels (Tensor): Class indices, [N].
        held_out (int): Number of held-out images.
        seed (int): Seed of the split.

    Returns:
        tuple[Tensor, Tensor]: Training rows and held-out rows, both sorted.

    Raises:
        InputError: If no image would be held out, or too many.
    """
    spare = (labels.bincount() - 1).clamp(min=0).tolist()
    if not 0 < held_out <= sum(spare):
        raise InputError(
            f'{held_out} of {len(labels)} training images are held out to '
            f'choose the penalty, must be 1 to {sum(spare)}, as one of each '
            'class is needed for training: give more images'
        )
    rng = random.Random(seed)
    taken = class_shares(spare, Fraction(held_out, sum(spare)), rng)
    val = choose_rows(labels, taken, rng)
    fit = torch.ones(len(labels), dtype=torch.bool)
    fit[val] = False
    return fit.nonzero().flatten(), val


def last_rows(labels: Tensor, held_out: int) -> tuple[Tensor, Tensor]:
    """Hold out the last images.

    Args:
        labels (Tensor): Class indices, [N].
        held_out (int): Number of held-out images.

    Returns:
        tuple[Tensor, Tensor]: Training rows and held-out rows.

    Raises:
        InputError: If a class occurs only among the held-out images.
    """
    rows = torch.arange(len(labels))
    fit, val = rows[:-held_out], rows[-held_out:]
    missing = {*labels[val].tolist()} - {*labels[fit].tolist()}
    if missing:
        raise InputError(
            f'the last {held_out} of {len(labels)} training images choose the '
            f'penalty, but only they have class {min(missing)}: shuffle the images'
        )
    return fit, val


def folds_of(
    labels: Tensor, rows: Tensor, folds: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Stratified folds for cross-validation.

    The only image of a class is used for training in all folds.

    Args:
        labels (Tensor): Class indices of all images, [M].
        rows (Tensor): Rows to divide, [N].
        folds (int): Maximum number of folds.
        seed (int): Seed of the order of the images.

    Yields:
        tuple[Tensor, Tensor]: Training rows and held-out rows.

    Raises:
        InputError: If no class has two images.
    """
    order = rows[
        torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    ]
    order = order[labels[order].argsort(stable=True)]
    counts = labels[rows].bincount()
    order = order[counts[labels[order]] > 1]
    if not len(order):
        raise InputError(
            f'no class has two of the {len(rows)} labelled images, as '
            'cross-validation of the penalty requires: set a larger percentage, '
            'or use tools/eval/few_shot.py'
        )
    folds = min(folds, len(order))
    for i in range(folds):
        val = order[i::folds]
        yield rows[~torch.isin(rows, val)], val


def rows_per_class(labels: Tensor, num_classes: int, k: int, seed: int) -> Tensor:
    """Draw k images of each class.

    Args:
        labels (Tensor): Class indices, [M].
        num_classes (int): Number of classes.
        k (int): Images per class.
        seed (int): Seed of the draw.

    Returns:
        Tensor: Rows, sorted, [num_classes * k].

    Raises:
        InputError: If a class has fewer than ``k`` images.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    if int(counts.min()) < k:
        raise InputError(
            f'class {int(counts.argmin())} has {int(counts.min())} training '
            f'images, but {k} per class are requested: set a smaller --k'
        )
    return choose_rows(labels, [k] * num_classes, random.Random(seed))


def rows_of_fraction(
    labels: Tensor, num_classes: int, percent: str, seed: int
) -> Tensor:
    """Draw a fraction of the images, stratified by class.

    Args:
        labels (Tensor): Class indices, [M].
        num_classes (int): Number of classes.
        percent (str): Percentage of the images, e.g. '1' or '0.5'.
        seed (int): Seed of the draw.

    Returns:
        Tensor: Rows, sorted.

    Raises:
        InputError: If it is not a percentage, or leaves a class without an
            image.
    """
    rng = random.Random(seed)
    counts = torch.bincount(labels, minlength=num_classes).tolist()
    taken = class_shares(counts, read_share(percent), rng)
    if 0 in taken:
        raise InputError(
            f'{percent} % of {len(labels)} images leaves class '
            f'{taken.index(0)} without one: set a larger percentage'
        )
    return choose_rows(labels, taken, rng)


def choose_rows(labels: Tensor, taken: Sequence[int], rng: random.Random) -> Tensor:
    """Draw a given number of images of each class.

    Args:
        labels (Tensor): Class indices, [M].
        taken (Sequence[int]): Number of images of each class.
        rng (random.Random): Generator of the draw.

    Returns:
        Tensor: Rows, sorted.
    """
    order = torch.tensor(rng.sample(range(len(labels)), len(labels)))
    by_class = order[labels[order].argsort(stable=True)]  # [M]
    groups = by_class.split(torch.bincount(labels, minlength=len(taken)).tolist())
    chosen = [rows[:num] for rows, num in zip(groups, taken)]
    return torch.cat(chosen).sort().values

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
    """What a classifier is worth on images that it did not learn from."""

    hits: int  # images classified rightly
    loss: float  # sum of their cross-entropies, nats
    num: int  # images

    @property
    def percent(self) -> float:
        """Of the images, classified rightly."""
        return 100 * self.hits / self.num

    def plus(self, other: 'HeldOutScore') -> 'HeldOutScore':
        """Of the images of both."""
        return HeldOutScore(*map(sum, zip(self, other)))


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
    """The setting that classifies most held-out images rightly.

    Of those that are equal, the one with the lowest cross-entropy: few images
    are classified alike under most penalties, and the strongest would only
    predict the largest class. Then the first.

    Args:
        scores (dict[float, HeldOutScore]): By setting.
    """
    return min(
        scores, key=lambda setting: (-scores[setting].hits, scores[setting].loss)
    )


def held_out_rows(labels: Tensor, held_out: int, seed: int) -> tuple[Tensor, Tensor]:
    """Split images at random, as evenly over the classes as can be.

    One image of each class always trains.

    Args:
        labels (Tensor): Class indices, [N].
        held_out (int): Images that choose the setting.
        seed (int): Of the choice.

    Returns:
        tuple[Tensor, Tensor]: Rows that train and rows that are held out,
        both sorted.

    Raises:
        InputError: If nothing would be held out, or more than can be.
    """
    spare = (labels.bincount() - 1).clamp(min=0).tolist()
    if not 0 < held_out <= sum(spare):
        raise InputError(
            f'{held_out} of {len(labels)} training images are held out to '
            f'choose the penalty, where from 1 to {sum(spare)} can be, as one '
            'of each class must train: give more images'
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
        held_out (int): How many.

    Returns:
        tuple[Tensor, Tensor]: Rows that train and rows that are held out.

    Raises:
        InputError: If these have a class that none of the others is of.
    """
    rows = torch.arange(len(labels))
    fit, val = rows[:-held_out], rows[-held_out:]
    alone = {*labels[val].tolist()} - {*labels[fit].tolist()}
    if alone:
        raise InputError(
            f'the last {held_out} of {len(labels)} training images choose the '
            f'penalty, and only they are of class {min(alone)}: shuffle them'
        )
    return fit, val


def folds_of(
    labels: Tensor, rows: Tensor, folds: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows for cross-validation, each fold as even over the classes as can be.

    The only image of a class trains in all folds, and is in none.

    Args:
        labels (Tensor): Class indices of all images, [M].
        rows (Tensor): Images that may be used, [N].
        folds (int): How many at most.
        seed (int): Of the order of the images.

    Yields:
        tuple[Tensor, Tensor]: Rows that train and rows that are held out.

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
            f'no class has two of the {len(rows)} labelled images, which '
            'cross-validation of the penalty wants: take a larger share, or '
            'tools/eval/few_shot.py'
        )
    folds = min(folds, len(order))
    for i in range(folds):
        val = order[i::folds]
        yield rows[~torch.isin(rows, val)], val


def rows_per_class(labels: Tensor, num_classes: int, k: int, seed: int) -> Tensor:
    """Choose k images of each class.

    Args:
        labels (Tensor): Class indices, [M].
        num_classes (int): Number of classes.
        k (int): Images of each.
        seed (int): Of the choice.

    Returns:
        Tensor: Rows, sorted, [num_classes * k].

    Raises:
        InputError: If a class has fewer than ``k`` images.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    if int(counts.min()) < k:
        raise InputError(
            f'class {int(counts.argmin())} has {int(counts.min())} training '
            f'images, {k} are wanted of each: take fewer'
        )
    return choose_rows(labels, [k] * num_classes, random.Random(seed))


def rows_of_fraction(
    labels: Tensor, num_classes: int, percent: str, seed: int
) -> Tensor:
    """Choose a share of the images, as evenly over the classes as can be.

    Args:
        labels (Tensor): Class indices, [M].
        num_classes (int): Number of classes.
        percent (str): Of the images, as '1' or '0.5'.
        seed (int): Of the choice.

    Returns:
        Tensor: Rows, sorted.

    Raises:
        InputError: If it is no share, or leaves a class without an image.
    """
    rng = random.Random(seed)
    counts = torch.bincount(labels, minlength=num_classes).tolist()
    taken = class_shares(counts, read_share(percent), rng)
    if 0 in taken:
        raise InputError(
            f'{percent} % of {len(labels)} images leaves class '
            f'{taken.index(0)} without one: take a larger share'
        )
    return choose_rows(labels, taken, rng)


def choose_rows(labels: Tensor, taken: Sequence[int], rng: random.Random) -> Tensor:
    """Choose some images of each class.

    Args:
        labels (Tensor): Class indices, [M].
        taken (Sequence[int]): How many of each class.
        rng (random.Random): Chooses.

    Returns:
        Tensor: Rows, sorted.
    """
    order = torch.tensor(rng.sample(range(len(labels)), len(labels)))
    by_class = order[labels[order].argsort(stable=True)]  # [M]
    groups = by_class.split(torch.bincount(labels, minlength=len(taken)).tolist())
    chosen = [rows[:num] for rows, num in zip(groups, taken)]
    return torch.cat(chosen).sort().values

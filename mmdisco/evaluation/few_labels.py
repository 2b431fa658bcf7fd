"""Which training images keep their label."""

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from mmdisco.datasets.shares import class_shares, read_share
from mmdisco.errors import InputError


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


def rows_of_share(labels: Tensor, num_classes: int, percent: str, seed: int) -> Tensor:
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

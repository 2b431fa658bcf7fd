"""Class-balanced subsets of a labelled folder."""

import random
from fractions import Fraction

from mmdisco.errors import InputError
from .labelled_photos import LabelledPhotos


def class_shares(counts: list[int], share: Fraction, rng: random.Random) -> list[int]:
    """Number of images to select from each class.

    The sum is the share of all images, rounded down: for ImageNet 12 811 and
    128 116, as in SimCLR's lists. Each class gets its share rounded down;
    those with the largest remainders get one more.

    Args:
        counts (list[int]): Number of images of each class.
        share (Fraction): From 0 to 1.
        rng (random.Random): Chooses among equal remainders.

    Returns:
        list[int]: Number of images of each class.
    """
    exact = [count * share for count in counts]
    taken = [int(x) for x in exact]
    order = rng.sample(range(len(counts)), len(counts))
    order.sort(key=lambda i: taken[i] - exact[i])
    for i in order[: int(sum(counts) * share) - sum(taken)]:
        taken[i] += 1
    return taken


def read_share(percent: str) -> Fraction:
    """Parse a percentage exactly.

    Args:
        percent (str): E.g. '1' or '0.5'.

    Returns:
        Fraction: Above 0, at most 1.

    Raises:
        InputError: If it is not a number above 0, up to 100.
    """
    try:
        share = Fraction(percent) / 100
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if not 0 < share <= 1:
        raise InputError(
            f"'{percent}' is not a percentage: use a number above 0, up to 100"
        )
    return share


def subset(folder: str, percent: str, seed: int) -> list[str]:
    """Select a random share of the images of each class.

    Args:
        folder (str): Folder with one folder per class.
        percent (str): Share of the images, e.g. '1' or '0.5'.
        seed (int): Seed of the selection.

    Returns:
        list[str]: Paths below ``folder``, sorted.

    Raises:
        InputError: If ``percent`` is invalid, or a class would be empty.
    """
    share = read_share(percent)
    data = LabelledPhotos(folder)
    classes: list[list[str]] = [[] for _ in data.CLASSES]
    for name, label in zip(data.names(), data.get_gt_labels()):
        classes[label].append(name)
    rng = random.Random(seed)
    shares = class_shares([len(paths) for paths in classes], share, rng)
    if not all(shares):
        name = data.CLASSES[shares.index(0)]
        raise InputError(
            f"{percent} % of '{folder}' has no image of {shares.count(0)} of "
            f"{len(classes)} classes, e.g. '{name}': use a larger percentage"
        )
    return sorted(
        path
        for paths, take in zip(classes, shares)
        for path in rng.sample(sorted(paths), take)
    )

"""Subsets of a labelled folder with the same share of each class."""

import random
from fractions import Fraction
from pathlib import Path

from mmdisco.errors import InputError
from .labelled_photos import LabelledPhotos


def class_shares(counts: list[int], share: Fraction, rng: random.Random) -> list[int]:
    """How many images of each class to take.

    In sum they are the share of all images, rounded down: of ImageNet as many
    as SimCLR's lists have, 12 811 and 128 116. Each class has its share
    rounded down, and those with the largest remainders one more.

    Args:
        counts (list[int]): Images of each class.
        share (Fraction): From 0 to 1.
        rng (random.Random): Chooses among equal remainders.

    Returns:
        list[int]: Of each class.
    """
    exact = [count * share for count in counts]
    taken = [int(x) for x in exact]
    order = rng.sample(range(len(counts)), len(counts))
    order.sort(key=lambda i: taken[i] - exact[i])
    for i in order[: int(sum(counts) * share) - sum(taken)]:
        taken[i] += 1
    return taken


def read_share(percent: str) -> Fraction:
    """A share of images, exactly as it is written.

    Args:
        percent (str): As '1' or '0.5'.

    Returns:
        Fraction: Above 0, at most 1.

    Raises:
        InputError: If it is none.
    """
    try:
        share = Fraction(percent) / 100
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if not 0 < share <= 1:
        raise InputError(
            f"'{percent}' % of the images can't be taken: give a "
            'number above 0, up to 100'
        )
    return share


def subset(folder: str, percent: str, seed: int) -> list[str]:
    """Choose images.

    Args:
        folder (str): With one folder for each class.
        percent (str): How many of them, as '1' or '0.5'.
        seed (int): Of the choice.

    Returns:
        list[str]: Paths below ``folder``, sorted.

    Raises:
        InputError: If ``percent`` is none, or would leave a class out.
    """
    share = read_share(percent)
    data = LabelledPhotos(folder)
    classes: list[list[str]] = [[] for _ in data.CLASSES]
    for i in range(len(data)):
        info = data.get_data_info(i)
        path = Path(info['img_path']).relative_to(data.img_prefix)
        classes[info['gt_label']].append(path.as_posix())
    rng = random.Random(seed)
    shares = class_shares([len(paths) for paths in classes], share, rng)
    if not all(shares):
        name = data.CLASSES[shares.index(0)]
        raise InputError(
            f"{percent} % of '{folder}' has no image of {shares.count(0)} of "
            f"{len(classes)} classes, e.g. '{name}': take more"
        )
    return sorted(
        path
        for paths, take in zip(classes, shares)
        for path in rng.sample(sorted(paths), take)
    )

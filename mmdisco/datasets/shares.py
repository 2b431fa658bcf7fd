"""How many images of each class a share of all of them is."""

import random
from fractions import Fraction

from mmdisco.errors import InputError


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

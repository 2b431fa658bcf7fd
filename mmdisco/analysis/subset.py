"""A share of a labelled folder's images, the same share of each class."""

import random
from pathlib import Path

from mmdisco.datasets import LabelledPhotos
from mmdisco.datasets.shares import class_shares, read_share
from mmdisco.errors import InputError


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
    classes = [[] for _ in data.CLASSES]
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

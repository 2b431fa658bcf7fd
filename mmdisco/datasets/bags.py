"""Bags of neighbouring images, for BINGO."""

from collections.abc import Sequence
from copy import copy
from typing import Any, cast

import numpy as np
from mmengine.dataset import Compose
from mmpretrain.registry import DATASETS, TRANSFORMS
from torch.utils.data import Dataset

from mmdisco.errors import InputError, MissingFileError


def read_bags(path: str, num: int) -> np.ndarray:
    """Open a bag file, memory-mapped.

    Args:
        path (str): A .npy file of integers, [N, K].
        num (int): Number of images in the dataset, N.

    Returns:
        np.ndarray: Indices of each image's neighbours, [N, K].

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If it is not such an array, or of another dataset.
    """
    make = f'make it with python tools/make_bags.py CONFIG --out {path}'
    try:
        bags = np.load(path, mmap_mode='r', allow_pickle=False)
    except FileNotFoundError as error:
        raise MissingFileError(f"bag file '{path}' not found: {make}") from error
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"'{path}' is not a .npy file of numbers: {make}") from error
    if not (
        isinstance(bags, np.ndarray)
        and bags.ndim == 2
        and bags.shape[1]
        and np.issubdtype(bags.dtype, np.integer)
    ):
        raise InputError(f"'{path}' is not an integer array [N, K]: {make}")
    if len(bags) != num:
        raise InputError(
            f"'{path}' has bags of {len(bags)} images, the data set has {num}: {make}"
        )
    low, high = int(bags.min()), int(bags.max())
    if low < 0 or high >= num:
        raise InputError(
            f"'{path}' lists image {low if low < 0 else high}, "
            f'the data set has 0 to {num - 1}: {make}'
        )
    itself = (bags == np.arange(num)[:, None]).any(1)  # [N]
    if itself.any():
        raise InputError(
            f"'{path}' lists image {itself.argmax()} as its own neighbour: {make}"
        )
    return bags


@DATASETS.register_module()
class Bags(Dataset):
    """Images, each paired with a random nearest neighbour.

    `BINGO <https://arxiv.org/abs/2107.01691>`_ uses bags: an image, the
    anchor, and its neighbours in the teacher's feature space. An item has the
    anchor's views, followed by the views of one other member of its bag.
    ``tools/make_bags.py`` writes the file of neighbours.

    Args:
        dataset (dict or Dataset): The images. If an item is a single image
            and not a list of views, ``inputs`` is [anchor, member].
        neighbours (str): A .npy file of integers, [N, K]: indices of the K
            other images in each image's bag.
        member_pipeline (Sequence[dict], optional): Transforms of the member.
            Defaults to None: those of ``dataset``.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If the file does not fit the dataset, or
            ``member_pipeline`` is given for a dataset without pipeline.
    """

    def __init__(
        self,
        dataset: dict | Dataset,
        neighbours: str,
        member_pipeline: Sequence[dict] | None = None,
    ) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        self.dataset = cast(Any, dataset)
        self.neighbours = read_bags(neighbours, len(self.dataset))  # [N, K]
        self.members = self.dataset
        if member_pipeline is not None:
            if not hasattr(dataset, 'pipeline'):
                raise InputError(
                    f'{type(dataset).__name__} has no pipeline: '
                    'leave out member_pipeline of Bags'
                )
            self.members = copy(self.dataset)  # shares the list of images
            self.members.pipeline = Compose(
                [TRANSFORMS.build(part) for part in member_pipeline]
            )

    @property
    def metainfo(self) -> dict:
        """Metainfo of the wrapped dataset."""
        return getattr(self.dataset, 'metainfo', {})

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        """Return the anchor's views, followed by a member's."""
        item = self.dataset[index]
        # differs if the dataset replaced an unreadable image
        index = getattr(item.get('data_samples'), 'sample_idx', index)
        return dict(item, inputs=[*_views(item), *_views(self._member(index))])

    def _member(self, anchor: int) -> dict:
        """Load a random readable image of the anchor's bag."""
        prepare = getattr(self.members, 'prepare_data', self.members.__getitem__)
        for index in np.random.permutation(self.neighbours[anchor]).tolist():
            member = prepare(index)
            if member is not None:
                return member
        raise InputError(
            f'no neighbour of image {anchor} can be read: fix '
            'the files, or make the bags again'
        )


def _views(item: dict) -> list:
    inputs = item['inputs']
    return inputs if isinstance(inputs, list) else [inputs]

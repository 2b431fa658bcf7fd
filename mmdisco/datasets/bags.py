from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from mmengine.dataset import Compose
from mmpretrain.registry import DATASETS, TRANSFORMS
from torch.utils.data import Dataset

from mmdisco.errors import InputError, MissingFileError


def read_bags(path: str, num: int) -> np.ndarray:
    """Open a file of bags, which is not read into memory.

    Args:
        path (str): A .npy file of integers, [N, K].
        num (int): Images in the data set, N.

    Returns:
        np.ndarray: Indices of each image's neighbours, [N, K].

    Raises:
        MissingFileError: If it does not exist.
        InputError: If it is no such array, or of another data set.
    """
    make = f'make it with python tools/make_bags.py CONFIG --out {path}'
    try:
        bags = np.load(path, mmap_mode='r', allow_pickle=False)
    except FileNotFoundError as error:
        raise MissingFileError(f"no file of bags '{path}': {make}") from error
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"'{path}' is no .npy file of numbers: {make}") from error
    if not (
        isinstance(bags, np.ndarray)
        and bags.ndim == 2
        and bags.shape[1]
        and np.issubdtype(bags.dtype, np.integer)
    ):
        raise InputError(f"'{path}' holds no integers [N, K]: {make}")
    if len(bags) != num:
        raise InputError(
            f"'{path}' has bags of {len(bags)} images, the data set has {num}: {make}"
        )
    low, high = int(bags.min()), int(bags.max())
    if low < 0 or high >= num:
        raise InputError(
            f"'{path}' names image {low if low < 0 else high}, "
            f'the data set has 0 to {num - 1}: {make}'
        )
    own = (bags == np.arange(num)[:, None]).any(1)  # [N]
    if own.any():
        raise InputError(
            f"'{path}' names image {own.argmax()} as its own neighbour: {make}"
        )
    return bags


@DATASETS.register_module()
class Bags(Dataset):
    """Images, each with a random one of its nearest neighbours.

    `BINGO <https://arxiv.org/abs/2107.01691>`_ learns of bags: an image, the
    anchor, and its neighbours in the teacher's space. An item is the
    anchor's, to whose views those of one other member of its bag are
    appended. ``tools/make_bags.py`` makes the file of neighbours.

    Args:
        dataset (dict or Dataset): The images. Where an item of it is one
            image and not a list of views, ``inputs`` is [anchor, member].
        neighbours (str): A .npy file of integers, [N, K]: of each image the
            indices of the K others in its bag.
        member_pipeline (Sequence[dict], optional): Transforms of the member.
            Defaults to None: those of ``dataset``.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If the file does not fit the data set, or
            ``member_pipeline`` is for one that has no pipeline.
    """

    def __init__(
        self,
        dataset: dict | Dataset,
        neighbours: str,
        member_pipeline: Sequence[dict] | None = None,
    ) -> None:
        images: Any = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.dataset = images
        self.neighbours = read_bags(neighbours, len(images))  # [N, K]
        self.members = images
        if member_pipeline is not None:
            if not hasattr(images, 'pipeline'):
                raise InputError(
                    f'{type(images).__name__} has no pipeline: '
                    'leave out member_pipeline of Bags'
                )
            self.members = copy(images)  # the same list of images
            self.members.pipeline = Compose(
                [TRANSFORMS.build(part) for part in member_pipeline]
            )

    @property
    def metainfo(self) -> dict:
        """What the images' data set tells of itself."""
        return getattr(self.dataset, 'metainfo', {})

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        item = self.dataset[index]
        # another image has taken the place of one that can't be read
        index = getattr(item.get('data_samples'), 'sample_idx', index)
        return dict(item, inputs=[*_views(item), *_views(self._member(index))])

    def _member(self, anchor: int) -> dict:
        """A random other image of a bag that can be read."""
        prepare = getattr(self.members, 'prepare_data', self.members.__getitem__)
        for index in np.random.permutation(self.neighbours[anchor]).tolist():
            member = prepare(index)
            if member is not None:
                return member
        raise InputError(
            f'no neighbour of image {anchor} can be read: mend '
            'the files, or make the bags anew'
        )


def _views(item: dict) -> list:
    inputs = item['inputs']
    return inputs if isinstance(inputs, list) else [inputs]

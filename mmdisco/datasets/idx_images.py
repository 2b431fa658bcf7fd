"""Images in MNIST's IDX format."""

import gzip
from pathlib import Path

import numpy as np
import torch
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from mmdisco.errors import InputError, MissingFileError


def read_idx(path: Path) -> torch.Tensor:
    """Read an IDX file of bytes, gzipped or not.

    Args:
        path (Path): The file; ``path.gz`` is used if only that exists.

    Returns:
        Tensor: uint8, with the shape in the file's header.

    Raises:
        MissingFileError: If neither file exists.
        InputError: If it is not an IDX file of bytes, or truncated.
    """
    packed = path.with_name(path.name + '.gz')
    if not path.is_file() and not packed.is_file():
        raise MissingFileError(f"IDX file '{path}' (or .gz) not found")
    path = path if path.is_file() else packed
    with (gzip.open if path.suffix == '.gz' else open)(path, 'rb') as file:
        try:
            data = file.read()
        except (OSError, EOFError) as error:
            raise InputError(f"'{path}' is damaged: {error}") from error
    dims = data[3] if len(data) > 3 else 0
    shape: list[int] = []
    if len(data) > 4 * dims:
        shape = np.frombuffer(data, '>i4', dims, 4).tolist()
    if data[:3] != b'\x00\x00\x08' or 4 + 4 * dims + np.prod(shape, dtype=int) != len(
        data
    ):
        raise InputError(f"'{path}' is not a complete IDX file of bytes")
    array = np.frombuffer(data, np.uint8, offset=4 + 4 * dims)
    return torch.from_numpy(array.reshape(shape).copy())


@DATASETS.register_module()
class IDXImages(Dataset):
    """Images in the IDX files of MNIST and Fashion-MNIST, kept in memory.

    Args:
        data_root (str): Folder of the files.
        split (str): 'train' or 'test'. Defaults to 'train'.
        start (int): Index of the first image. Defaults to 0.
        stop (int, optional): Index after the last image. Defaults to None:
            the end of the file.

    Raises:
        MissingFileError: If a file does not exist.
        InputError: If a file is damaged, the numbers of images and labels
            differ, or no image is left.
    """

    PREFIX = dict(train='train', test='t10k')

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        start: int = 0,
        stop: int | None = None,
    ) -> None:
        stem = Path(data_root) / self.PREFIX[split]
        images = read_idx(Path(f'{stem}-images-idx3-ubyte'))
        labels = read_idx(Path(f'{stem}-labels-idx1-ubyte'))
        if len(images) != len(labels):
            raise InputError(
                f"'{data_root}' has {len(images)} {split} images "
                f'and {len(labels)} labels'
            )
        self.images = images[start:stop].unsqueeze(1)  # [N, 1, H, W]
        self.labels = labels[start:stop].long()  # [N]
        if not len(self.images):
            raise InputError(
                f"'{data_root}' has no {split} images from {start} to {stop}"
            )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        """Return ``inputs``, uint8 [1, H, W], and ``label``."""
        return dict(inputs=self.images[index], label=self.labels[index])

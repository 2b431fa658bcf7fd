"""Base class of the sources of labelled images."""

import hashlib
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mmdisco.datasets.decode import VERSION, WHITE, reason_of, to_rgb
from mmdisco.errors import InputError


def spread(count: int) -> range:
    """At most 64 of the indices below ``count``, evenly spaced."""
    return range(0, count, max(1, -(-count // 64)))


class Source(Dataset):
    """Images of one split with names and labels, in any storage.

    Subclasses implement :meth:`load`. File handles are opened on use, so a source
    can be sent to a worker process.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'; '' for photos without labels.
        names (list[str]): Unique names of the images.
        labels (Sequence[int], optional): Labels of the images, or None.
        classes (list[str]): Names of the classes. Defaults to ().

    Attributes:
        kind (str): 'folder', 'cifar10', 'cifar100', 'idx', 'lmdb', 'packed' or 'tar'.
        labels (Tensor, optional): int64, [N].
        sizes (Sequence[int]): Distinguishes other images of the same names
            without decoding them: the bytes of each member of a tar, or of
            :func:`spread` images of a folder or LMDB (a stat of a million files
            takes minutes on a network drive); shape and checksum of images in
            memory.
        background (tuple[int, int, int]): RGB colour below transparent
            pixels. Defaults to white.
    """

    kind = ''
    background: Sequence[int] = WHITE
    sizes: Sequence[int] = ()

    def __init__(
        self,
        root: str,
        split: str,
        names: list[str],
        labels: Sequence[int] | Tensor | None,
        classes: Sequence[str] = (),
    ) -> None:
        self.root = str(root)
        self.split = split
        self.names = names
        self.labels: Tensor | None = None
        if labels is not None:
            self.labels = torch.as_tensor(labels, dtype=torch.int64)  # [N]
        self.classes = list(classes)

    def load(self, index: int) -> Image.Image:
        """Open one image as stored; any exception means that it is unreadable."""
        raise NotImplementedError

    def where(self, index: int) -> str:
        """Name of the image in messages."""
        return f"'{self.names[index]}' of '{self.root}'"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Image.Image:
        """One image in RGB, upright, decoded as in training.

        Raises:
            InputError: If it can't be read.
        """
        where = self.where(index)
        try:
            with self.load(index) as image:
                return to_rgb(image, self.background)
        except InputError:
            raise
        except Exception as error:  # decoders raise exceptions of many types
            raise InputError(
                f"image {where} can't be read ({reason_of(error, where)}): "
                'replace or remove it'
            ) from error

    def fingerprint(self) -> str:
        """SHA-256 of kind, split, names in order, labels, sizes and decoding.

        Independent of the location of the images. A replaced image in a folder
        may go unnoticed.
        """
        decoding = VERSION, *self.background
        digest = hashlib.sha256(f'{self.kind}\0{self.split}\0{decoding}\0'.encode())
        digest.update('\0'.join(self.names).encode(errors='surrogateescape'))
        for numbers in (self.labels, self.sizes):
            numbers = torch.as_tensor(
                [] if numbers is None else numbers, dtype=torch.int64
            )
            digest.update(b'%d\0' % len(numbers) + numbers.numpy().tobytes())
        return digest.hexdigest()

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
    """Images of one split with labels and names, however they are stored.

    A kind of storage says in :meth:`load` how one image is opened. Handles
    are opened where they are used, so a source goes to a worker as it is.

    Args:
        root (str): What the user gave.
        split (str): 'train' or 'test'; '' of photos without labels.
        names (List[str]): A unique name of each image.
        labels (Sequence[int], optional): Of each image; None if there are
            none.
        classes (List[str]): Names of the labels. Defaults to ().

    Attributes:
        kind (str): 'folder', 'cifar10', 'cifar100', 'idx', 'lmdb' or 'tar'.
        labels (Tensor, optional): int64, [N].
        sizes (Sequence[int]): What tells other images of the same names
            apart without decoding them: bytes of each member of a tar, of
            :func:`spread` images of a folder or LMDB, as a stat of a million
            files takes minutes on a network drive; shape and checksum of
            what is in memory.
        background (tuple[int, int, int]): Colour below what is transparent,
            in RGB; white, unless it is set.
    """

    kind = ''
    background: tuple[int, int, int] = WHITE
    sizes: Sequence[int] = ()

    def __init__(
        self,
        root: str,
        split: str,
        names: list[str],
        labels: Sequence[int] | None,
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
        """Open one image as stored; if that fails, it can't be read."""
        raise NotImplementedError

    def where(self, index: int) -> str:
        """What a message calls the image."""
        return f"'{self.names[index]}' of '{self.root}'"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Image.Image:
        """One image in RGB, upright: the pixels that training sees.

        Raises:
            InputError: If it can't be read.
        """
        where = self.where(index)
        try:
            with self.load(index) as image:
                return to_rgb(image, self.background)
        except InputError:
            raise
        except Exception as error:  # any decoder has exceptions of its own
            raise InputError(
                f"image {where} can't be read ({reason_of(error, where)}): "
                'replace or remove it'
            ) from error

    def fingerprint(self) -> str:
        """SHA-256 of kind, split, names in order, labels, sizes and decoding.

        It does not depend on where the images are. An image replaced in a
        folder may go unseen.
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


def numbered_classes(
    labels: Sequence[int], num_classes: int | None, where: str
) -> list[str]:
    """Names of classes that have numbers only.

    Args:
        labels (Sequence[int]): Of all images, [N].
        num_classes (int, optional): How many there are; None for as many as
            the largest label tells.
        where (str): The files, for the message.

    Returns:
        List[str]: '0', '1' and so on.

    Raises:
        InputError: If a label is outside the classes.
    """
    largest = int(torch.as_tensor(labels).max())
    if num_classes is not None and largest >= num_classes:
        raise InputError(
            f"'{where}' has label {largest}, outside the "
            f'classes: num_classes is {num_classes}, labels '
            'begin with 0'
        )
    return [str(i) for i in range(num_classes or largest + 1)]

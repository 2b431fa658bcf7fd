"""Encoded images in tar shards, read in place."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image
from torch import Tensor

from mmdisco.datasets.packed import read_member
from mmdisco.datasets.packed.foreign import label_members
from mmdisco.datasets.packed.storage import Member
from .source import Source


class TarSource(Source):
    """Encoded images in tar shards, read at their positions.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'; '' for photos without labels.
        members (dict[str, Member]): Positions of the images by name.
        labels (Sequence[int], optional): Labels of the images.
        classes (list[str]): Names of the classes. Defaults to ().
    """

    kind = 'tar'

    def __init__(
        self,
        root: str,
        split: str,
        members: dict[str, Member],
        labels: Sequence[int] | Tensor | None,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(root, split, list(members), labels, classes)
        self.members = list(members.values())
        self.sizes = [member.size for member in self.members]

    def read(self, index: int) -> bytes:
        """Content of one encoded image."""
        return read_member(self.members[index])

    def load(self, index: int) -> Image.Image:
        """Open one encoded image."""
        return Image.open(BytesIO(self.read(index)))

    def where(self, index: int) -> str:
        """Name and shard of the image."""
        return f"'{self.names[index]}' in '{self.members[index].shard}'"


def open_tar(
    root: str, split: str, shards: Sequence[Path], num_classes: int | None
) -> TarSource:
    """Open shards without an index.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'.
        shards (Sequence[Path]): Tar files, uncompressed.
        num_classes (int, optional): Number of classes of pairs. Defaults to
            None: the largest label + 1.

    Returns:
        TarSource: Images as :func:`label_members` sorts and names them.

    Raises:
        InputError: If a shard is damaged, the layouts are mixed, or labels
            don't fit.
    """
    return TarSource(root, split, *label_members(shards, num_classes))

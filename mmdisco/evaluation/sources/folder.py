"""Image files in class folders, or photos without classes."""

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from mmdisco.datasets import LabelledPhotos, Photos
from mmdisco.datasets.listing import Tally
from mmdisco.datasets.packed import is_packed
from mmdisco.errors import MissingFileError
from .packed import PackedSource, open_packed_source
from .source import Source, spread


class FolderSource(Source):
    """Image files below a folder.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'; '' for photos without labels.
        folder (str): The folder.
        names (list[str]): Paths relative to it.
        labels (list[int], optional): Labels of the images.
        classes (list[str]): Names of the classes. Defaults to ().
        tally (Tally, optional): Counts of the files, for photos.
    """

    kind = 'folder'

    def __init__(
        self,
        root: str,
        split: str,
        folder: str,
        names: list[str],
        labels: list[int] | None,
        classes: Sequence[str] = (),
        tally: Tally | None = None,
    ) -> None:
        super().__init__(root, split, names, labels, classes)
        self.folder = folder
        self.tally = tally
        self.sizes = [
            os.path.getsize(os.path.join(folder, names[i])) for i in spread(len(names))
        ]

    def part(self, rows: list[int]) -> 'FolderSource':
        """The images of some indices."""
        assert self.labels is not None
        labels = self.labels[rows].tolist()
        names = [self.names[row] for row in rows]
        return FolderSource(
            self.root, self.split, self.folder, names, labels, self.classes
        )

    def read(self, index: int) -> bytes:
        """Content of one image file."""
        return Path(self.folder, self.names[index]).read_bytes()

    def load(self, index: int) -> Image.Image:
        """Open one image file."""
        return Image.open(os.path.join(self.folder, self.names[index]))

    def where(self, index: int) -> str:
        """Path of the image."""
        return f"'{os.path.join(self.folder, self.names[index])}'"


def open_folder(root: str, split: str, folder: Path) -> FolderSource:
    """Open a folder of class folders, read by :class:`LabelledPhotos`.

    Args:
        root (str): Path given by the user.
        split (str): 'train' or 'test'.
        folder (Path): Folder of the class folders.

    Returns:
        FolderSource: Names 'class/name.jpg', labels by sorted classes.

    Raises:
        InputError: If a class folder has no image.
    """
    data = LabelledPhotos(str(folder))
    infos = [data.get_data_info(i) for i in range(len(data))]
    return FolderSource(
        root,
        split,
        str(folder),
        _below(folder, infos),
        [info['gt_label'] for info in infos],
        data.metainfo['classes'],
    )


def open_photos(root: str) -> FolderSource | PackedSource:
    """Open a folder of photos without classes, at any depth, or of packed images.

    Args:
        root (str): The folder, or an address of packed images.

    Returns:
        FolderSource or PackedSource: Sorted names, ``labels`` None.

    Raises:
        MissingFileError: If the folder does not exist.
        InputError: If it has no image; on access, if an image can't be read.
    """
    if is_packed(root):
        return open_packed_source(root, '', root)
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingFileError(f"folder of photos '{folder}' not found")
    data = Photos(str(folder))
    infos = [data.get_data_info(i) for i in range(len(data))]
    return FolderSource(
        root, '', str(folder), _below(folder, infos), None, tally=data.tally
    )


def _below(folder: Path, infos: list[dict]) -> list[str]:
    """Paths relative to the folder, the common prefix of all."""
    start = len(os.path.join(str(folder), ''))
    return [info['img_path'][start:] for info in infos]

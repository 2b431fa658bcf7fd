import os
from pathlib import Path

from PIL import Image

from mmdisco.datasets import LabelledPhotos, Photos
from mmdisco.datasets.listing import Tally
from mmdisco.errors import MissingFileError
from .source import Source, spread


class FolderSource(Source):
    """Image files below one folder.

    Args:
        root (str): What the user gave.
        split (str): 'train' or 'test'; '' of photos without labels.
        folder (str): The folder that names begin below.
        names (List[str]): Paths below it.
        labels (List[int], optional): Of each image.
        classes (List[str]): Names of the labels. Defaults to ().
        tally (Tally, optional): Counts of the files, of photos.
    """

    kind = 'folder'

    def __init__(
        self,
        root: str,
        split: str,
        folder: str,
        names: list[str],
        labels: list[int] | None,
        classes: list[str] = (),
        tally: Tally | None = None,
    ) -> None:
        super().__init__(root, split, names, labels, classes)
        self.folder = folder
        self.tally = tally
        self.sizes = [
            os.path.getsize(os.path.join(folder, names[i])) for i in spread(len(names))
        ]

    def load(self, index: int) -> Image.Image:
        return Image.open(os.path.join(self.folder, self.names[index]))

    def where(self, index: int) -> str:
        return f"'{os.path.join(self.folder, self.names[index])}'"


def open_folder(root: str, split: str, folder: Path) -> FolderSource:
    """A folder of class folders, as :class:`LabelledPhotos` reads it.

    Args:
        root (str): What the user gave.
        split (str): 'train' or 'test'.
        folder (Path): Where the class folders are.

    Returns:
        FolderSource: Names are 'class/name.jpg', labels by sorted classes.

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


def open_photos(root: str) -> FolderSource:
    """A folder of photos without classes, at any depth.

    Args:
        root (str): The folder.

    Returns:
        FolderSource: Its ``labels`` are None, its names sorted.

    Raises:
        MissingFileError: If there is no such folder.
        InputError: If it holds no image; later, naming the file, if one
            can't be read.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingFileError(f"folder of photos '{folder}' not found")
    data = Photos(str(folder))
    infos = [data.get_data_info(i) for i in range(len(data))]
    return FolderSource(
        root, '', str(folder), _below(folder, infos), None, tally=data.tally
    )


def _below(folder: Path, infos: list[dict]) -> list[str]:
    """Paths below the folder, which each image's path begins with."""
    start = len(os.path.join(str(folder), ''))
    return [info['img_path'][start:] for info in infos]

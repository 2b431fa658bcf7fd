from pathlib import Path
from typing import NamedTuple

from mmdisco.datasets.listing import class_folders, is_hidden
from .arrays import CIFAR

# 'val' first: ImageNet's 'test' has no labels
FOLDERS = dict(train=['train'], test=['val', 'validation', 'test'])
IDX = 'train-images-idx3-ubyte', 't10k-images-idx3-ubyte'


class Detected(NamedTuple):
    """Images of a supported kind."""

    kind: str
    name: str  # in messages
    paths: list[Path]


def detect(folder: Path, split: str) -> list[Detected]:
    """Detect the images of a split by the file names in a folder.

    Args:
        folder (Path): The folder.
        split (str): 'train' or 'test'.

    Returns:
        list[Detected]: One entry for each kind. Array files count for both splits.
    """
    below = (_in_folders(folder, name) for name in FOLDERS[split])
    return _in_arrays(folder) + next(filter(None, below), [])


def supported(split: str) -> str:
    """Names that :func:`detect` looks for, for a message.

    Args:
        split (str): 'train' or 'test'.
    """
    name = FOLDERS[split][0]
    names = ' (or validation, test)' if split == 'test' else ''
    arrays = [f'{IDX[0]}(.gz)', *(cls.base_folder for cls in CIFAR.values())]
    return (
        f'{name}/CLASS/*.jpg, {name}.lmdb, {name}/data.mdb, {name}-*.tar, '
        f'{name}/*.tar, {name}.tar{names}, {", ".join(arrays)}'
    )


def _in_arrays(folder: Path) -> list[Detected]:
    kinds = []
    if any(
        (folder / f'{name}{packed}').is_file() for name in IDX for packed in ('', '.gz')
    ):
        kinds.append(Detected('idx', 'IDX files', [folder]))
    for kind, cls in CIFAR.items():
        if (folder / cls.base_folder).is_dir():
            kinds.append(Detected(kind, f"'{cls.base_folder}'", [folder]))
        elif folder.absolute().name == cls.base_folder:
            kinds.append(
                Detected(kind, f"'{cls.base_folder}'", [folder.absolute().parent])
            )
    return kinds


def _in_folders(folder: Path, name: str) -> list[Detected]:
    kinds = []
    for path in (folder / f'{name}.lmdb', folder / name):
        # CIFAR-100 has files 'train' and 'test'
        if (path.suffix and path.is_file()) or (path / 'data.mdb').is_file():
            kinds.append(Detected('lmdb', f"LMDB '{path.name}'", [path]))
    for pattern in (f'{name}-*.tar', f'{name}/*.tar', f'{name}.tar'):
        shards = sorted(
            path for path in folder.glob(pattern) if not is_hidden(path.name)
        )
        if shards:
            kinds.append(Detected('tar', f"'{pattern}'", shards))
    if (folder / name).is_dir() and class_folders(str(folder / name)):
        kinds.append(Detected('folder', f"class folders in '{name}'", [folder / name]))
    return kinds

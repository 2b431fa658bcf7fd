from pathlib import Path
from typing import NamedTuple

from mmdisco.datasets.listing import class_folders, is_hidden
from .arrays import CIFAR

# 'val' first: ImageNet's 'test' has no labels
FOLDERS = dict(train=['train'], test=['val', 'validation', 'test'])
IDX = 'train-images-idx3-ubyte', 't10k-images-idx3-ubyte'


class Found(NamedTuple):
    """Images of a known kind."""

    kind: str
    told: str  # what a message calls them
    paths: list[Path]


def detect(folder: Path, split: str) -> list[Found]:
    """Images of a split by the names of what is in a folder.

    Args:
        folder (Path): The folder.
        split (str): 'train' or 'test'.

    Returns:
        List[Found]: Should be one. Array files count as having each split.
    """
    below = (_in_folders(folder, name) for name in FOLDERS[split])
    return _in_arrays(folder) + next(filter(None, below), [])


def looked_for(split: str) -> str:
    """What :func:`detect` knows, for a message."""
    name = FOLDERS[split][0]
    names = ' (or validation, test)' if split == 'test' else ''
    arrays = [f'{IDX[0]}(.gz)', *(cls.base_folder for cls in CIFAR.values())]
    return (
        f'{name}/CLASS/*.jpg, {name}.lmdb, {name}/data.mdb, {name}-*.tar, '
        f'{name}/*.tar, {name}.tar{names}, {", ".join(arrays)}'
    )


def _in_arrays(folder: Path) -> list[Found]:
    found = []
    if any(
        (folder / f'{name}{packed}').is_file() for name in IDX for packed in ('', '.gz')
    ):
        found.append(Found('idx', 'IDX files', [folder]))
    for kind, cls in CIFAR.items():
        if (folder / cls.base_folder).is_dir():
            found.append(Found(kind, f"'{cls.base_folder}'", [folder]))
        elif folder.absolute().name == cls.base_folder:
            found.append(
                Found(kind, f"'{cls.base_folder}'", [folder.absolute().parent])
            )
    return found


def _in_folders(folder: Path, name: str) -> list[Found]:
    found = []
    for path in (folder / f'{name}.lmdb', folder / name):
        # CIFAR-100 has files 'train' and 'test'
        if (path.suffix and path.is_file()) or (path / 'data.mdb').is_file():
            found.append(Found('lmdb', f"LMDB '{path.name}'", [path]))
    for pattern in (f'{name}-*.tar', f'{name}/*.tar', f'{name}.tar'):
        shards = sorted(
            path for path in folder.glob(pattern) if not is_hidden(path.name)
        )
        if shards:
            found.append(Found('tar', f"'{pattern}'", shards))
    if (folder / name).is_dir() and class_folders(str(folder / name)):
        found.append(Found('folder', f"class folders in '{name}'", [folder / name]))
    return found

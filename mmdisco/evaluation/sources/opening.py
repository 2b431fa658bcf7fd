from pathlib import Path

from mmdisco.errors import InputError, MissingFileError
from .arrays import open_cifar, open_idx
from .detection import FOLDERS, Found, detect, looked_for
from .folder import open_folder
from .lmdb_file import open_lmdb
from .source import Source
from .tar import open_tar


def open_source(
    root: str, split: str = 'train', num_classes: int | None = None
) -> Source:
    """Labelled images, of the kind that is found at the root.

    Image folder, LMDB or tar shards of each split, CIFAR or IDX files:
    :func:`~mmdisco.evaluation.sources.detection.looked_for` has the names.

    Args:
        root (str): Where the images are.
        split (str): 'train' or 'test'; the latter is 'val' or 'validation',
            too. Defaults to 'train'.
        num_classes (int, optional): How many classes there must be. Defaults
            to None: any.

    Returns:
        Source: The images by class and name, or in the order of their file.

    Raises:
        MissingFileError: If nothing of a known kind is there.
        InputError: If several kinds are, or it is damaged or does not fit.
    """
    if split not in FOLDERS:
        raise InputError(f"split is '{split}', should be 'train' or 'test'")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingFileError(f"folder of images '{folder}' not found")
    found = detect(folder, split)
    if not found:
        other = 'test' if split == 'train' else 'train'
        only = f', only {other} images' if detect(folder, other) else ''
        raise MissingFileError(
            f"'{folder}' has no {split} images{only}: looked for {looked_for(split)}"
        )
    if len(found) > 1:
        raise InputError(
            f"'{folder}' has {split} images of several kinds, "
            f'{" and ".join(each.told for each in found)}: leave one of them '
            'there'
        )
    source = _open(root, split, found[0], num_classes)
    if num_classes not in (None, len(source.classes)):
        raise InputError(
            f"the {split} images of '{folder}' have {len(source.classes)} "
            f'class{"" if len(source.classes) == 1 else "es"}, num_classes is '
            f'{num_classes}: give other images, or set it'
        )
    return source


def _open(root: str, split: str, found: Found, num_classes: int | None) -> Source:
    path = found.paths[0]
    if found.kind == 'tar':
        return open_tar(root, split, found.paths, num_classes)
    if found.kind == 'idx':
        return open_idx(root, split, path, num_classes)
    if found.kind == 'folder':
        return open_folder(root, split, path)
    if found.kind == 'lmdb':
        return open_lmdb(root, split, path)
    return open_cifar(root, split, path, found.kind)

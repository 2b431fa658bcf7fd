from pathlib import Path

from mmdisco.errors import InputError, MissingFileError
from .arrays import open_cifar, open_idx
from .detection import FOLDERS, Detected, detect, supported
from .folder import open_folder
from .lmdb_file import open_lmdb
from .source import Source
from .tar import open_tar


def open_source(
    root: str, split: str = 'train', num_classes: int | None = None
) -> Source:
    """Open labelled images of the kind detected in a folder.

    Class folders, LMDB or tar shards of each split, CIFAR or IDX files; see
    :func:`~mmdisco.evaluation.sources.detection.supported` for the names.

    Args:
        root (str): Folder of the images.
        split (str): 'train' or 'test'; the latter may also be named 'val' or
            'validation'. Defaults to 'train'.
        num_classes (int, optional): Required number of classes. Defaults to
            None: any.

    Returns:
        Source: Images by class and name, or in the order of their file.

    Raises:
        MissingFileError: If there are no images of a supported kind.
        InputError: If there are several kinds, or they are damaged or do not
            fit.
    """
    if split not in FOLDERS:
        raise InputError(f"split is '{split}', should be 'train' or 'test'")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingFileError(f"folder of images '{folder}' not found")
    kinds = detect(folder, split)
    if not kinds:
        other = 'test' if split == 'train' else 'train'
        only = f', only {other} images' if detect(folder, other) else ''
        raise MissingFileError(
            f"'{folder}' has no {split} images{only}: looked for {supported(split)}"
        )
    if len(kinds) > 1:
        raise InputError(
            f"'{folder}' has {split} images of several kinds, "
            f'{" and ".join(each.name for each in kinds)}: leave only one of '
            'them there'
        )
    source = _open(root, split, kinds[0], num_classes)
    if num_classes not in (None, len(source.classes)):
        raise InputError(
            f"the {split} images of '{folder}' have {len(source.classes)} "
            f'class{"" if len(source.classes) == 1 else "es"}, num_classes is '
            f'{num_classes}: give other images, or change it'
        )
    return source


def _open(root: str, split: str, images: Detected, num_classes: int | None) -> Source:
    path = images.paths[0]
    if images.kind == 'tar':
        return open_tar(root, split, images.paths, num_classes)
    if images.kind == 'idx':
        return open_idx(root, split, path, num_classes)
    if images.kind == 'folder':
        return open_folder(root, split, path)
    if images.kind == 'lmdb':
        return open_lmdb(root, split, path)
    return open_cifar(root, split, path, images.kind)

"""Choice of the source by the files in a folder."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from mmengine.logging import print_log

from mmdisco.datasets.listing import class_folders, is_hidden
from mmdisco.datasets.packed import is_packed, open_packed
from mmdisco.datasets.packed.remote import is_url, join
from mmdisco.errors import InputError, MissingFileError
from .arrays import CIFAR, open_cifar, open_idx
from .folder import FolderSource, open_folder
from .lmdb_file import open_lmdb
from .packed import PackedSource, open_packed_source
from .source import Source
from .tar import open_tar

# 'val' first: ImageNet's 'test' has no labels
FOLDERS = dict(train=['train'], test=['val', 'validation', 'test'])
IDX = 'train-images-idx3-ubyte', 't10k-images-idx3-ubyte'


Divided = TypeVar('Divided', FolderSource, PackedSource)


class Detected(NamedTuple):
    """Images of a supported kind."""

    kind: str
    name: str  # in messages
    paths: list[Path]


def open_source(
    root: str, split: str = 'train', num_classes: int | None = None
) -> Source:
    """Open labelled images of the kind detected in a folder.

    Class folders, packed images, LMDB or tar shards of each split, CIFAR or IDX
    files; see :func:`supported` for the names. Of class folders or packed images
    without a split, every fifth image of each class is for testing.

    Args:
        root (str): Folder of the images, or address of packed ones.
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
    if is_url(root):
        remote = _open_remote(root, split)
        _check_classes(remote, root, num_classes)
        return remote
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingFileError(f"folder of images '{folder}' not found")
    kinds = detect(folder, split)
    if not kinds and (is_packed(folder) or _is_unsplit(folder)):
        part: Source
        if is_packed(folder):
            part = _fifth(open_packed_source(root, split, folder), folder)
        else:
            part = _fifth(open_folder(root, split, folder), folder)
        _check_classes(part, folder, num_classes)
        return part
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
    _check_classes(source, folder, num_classes)
    return source


def _open_remote(root: str, split: str) -> PackedSource:
    """Open packed images of an address: of a split below it, or a fifth of all.

    Raises:
        MissingFileError: If there are none.
    """
    for part in FOLDERS[split]:
        with suppress(MissingFileError):
            return open_packed_source(root, split, join(root, part))
    for part in (name for names in FOLDERS.values() for name in names):
        with suppress(MissingFileError):
            open_packed(join(root, part))
            raise InputError(f"'{root}' has '{part}', but no packed {split} images")
    return _fifth(open_packed_source(root, split, root), root)


def _check_classes(source: Source, folder: str | Path, num_classes: int | None) -> None:
    if num_classes not in (None, len(source.classes)):
        raise InputError(
            f"the {source.split} images of '{folder}' have {len(source.classes)} "
            f'class{"" if len(source.classes) == 1 else "es"}, num_classes is '
            f'{num_classes}: give other images, or change it'
        )


def _is_unsplit(folder: Path) -> bool:
    """Whether a folder has class folders, but no folder or file of a split."""
    if any(detect(folder, split) for split in FOLDERS):
        return False
    classes = class_folders(str(folder))
    splits = {name for names in FOLDERS.values() for name in names}
    return len(classes) > 1 and not splits & {*classes}


def _fifth(source: Divided, folder: str | Path) -> Divided:
    """Every fifth image of each class for testing, the others for training.

    Raises:
        InputError: If a class has fewer than five images.
    """
    assert source.labels is not None
    labels = source.labels.tolist()
    place: Counter = Counter()
    rows = []
    for row, label in enumerate(labels):
        place[label] += 1
        if (place[label] % 5 == 0) == (source.split == 'test'):
            rows.append(row)
    few = [source.classes[label] for label, count in place.items() if count < 5]
    if few:
        raise InputError(
            f"'{folder}' has no train and val folders, and the class "
            f"'{few[0]}' has fewer than five images, too few to leave some out for "
            'testing: add images, or make train/CLASS and val/CLASS'
        )
    print_log(
        f"no train and val folders in '{folder}': every fifth image of each "
        f'class, by name, is for testing; {len(rows)} {source.split} images',
        logger='current',
    )
    return source.part(rows)


def _open(root: str, split: str, images: Detected, num_classes: int | None) -> Source:
    path = images.paths[0]
    if images.kind == 'packed':
        return open_packed_source(root, split, path)
    if images.kind == 'tar':
        return open_tar(root, split, images.paths, num_classes)
    if images.kind == 'idx':
        return open_idx(root, split, path, num_classes)
    if images.kind == 'folder':
        return open_folder(root, split, path)
    if images.kind == 'lmdb':
        return open_lmdb(root, split, path)
    return open_cifar(root, split, path, images.kind)


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
        f'{name}/CLASS/*.jpg, CLASS/*.jpg, {name}.lmdb, {name}/data.mdb, {name}-*.tar, '
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
    if is_packed(folder / name):
        kinds.append(Detected('packed', f"packed images in '{name}'", [folder / name]))
    for pattern in (f'{name}-*.tar', f'{name}/*.tar', f'{name}.tar'):
        shards = sorted(
            path
            for path in folder.glob(pattern)
            if not is_hidden(path.name) and not is_packed(path.parent)
        )
        if shards:
            kinds.append(Detected('tar', f"'{pattern}'", shards))
    if (folder / name).is_dir() and class_folders(str(folder / name)):
        kinds.append(Detected('folder', f"class folders in '{name}'", [folder / name]))
    return kinds

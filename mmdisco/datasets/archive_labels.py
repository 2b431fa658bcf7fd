"""Labels of the images in an archive, by their paths or numbers."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmdisco.errors import InputError
from .listing import EXTENSIONS


def numbered_classes(
    labels: Sequence[int] | Tensor, num_classes: int | None, where: str
) -> list[str]:
    """Names of classes that are only numbered.

    Args:
        labels (Sequence[int]): Labels of all images, [N].
        num_classes (int, optional): Number of classes. Defaults to None: the
            largest label + 1.
        where (str): Name of the files in messages.

    Returns:
        list[str]: '0', '1' and so on.

    Raises:
        InputError: If a label is outside the classes.
    """
    largest = int(torch.as_tensor(labels).max())
    if num_classes is not None and largest >= num_classes:
        raise InputError(
            f"'{where}' has label {largest}, outside the "
            f'classes: num_classes is {num_classes}, labels '
            'start at 0'
        )
    return [str(i) for i in range(num_classes or largest + 1)]


class Labelled(NamedTuple):
    """Paths sorted by class and name, with their labels."""

    names: list[str]
    labels: list[int]
    classes: list[str]


def by_class(
    names: Iterable[str], where: str, folders: Collection[str] = ()
) -> Labelled:
    """Sort the paths in an archive and label them by their class folders.

    Args:
        names (Iterable[str]): Paths of images, 'class/name.jpg'.
        where (str): Name of the archive in messages.
        folders (Collection[str]): Further class folders in the archive.
            Defaults to ().

    Returns:
        Labelled: Paths, labels by sorted classes, and classes.

    Raises:
        InputError: If there is no image, an image without a class, or a
            class without an image.
    """
    names = sorted(names, key=lambda name: name.split('/', 1))
    flat = [name for name in names if '/' not in name]
    if flat or not names:
        content = f"has '{flat[0]}'" if flat else 'has no image'
        raise InputError(
            f"'{where}' {content}: its images should be named "
            f"'class/name.jpg' ({' '.join(EXTENSIONS)})"
        )
    owners = [name.split('/', 1)[0] for name in names]
    classes = sorted({*owners, *folders})
    empty = sorted({*folders} - {*owners})
    if empty:
        raise InputError(
            f"'{where}' has class folders without an image, "
            f"{len(empty)} of {len(classes)}, e.g. '{empty[0]}': "
            'fill or remove them'
        )
    index = {name: label for label, name in enumerate(classes)}
    return Labelled(names, [index[owner] for owner in owners], classes)

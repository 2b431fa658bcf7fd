from collections.abc import Collection, Iterable
from typing import NamedTuple

from mmdisco.datasets.listing import EXTENSIONS
from mmdisco.errors import InputError


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

"""Images of a folder or of its packed shards, by names that do not depend on it."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from ..listing import EXTENSIONS, list_images
from ..packed import is_packed, open_packed
from ..packed.storage import SCHEME, split_path


class Images(NamedTuple):
    """Images of a folder.

    Attributes:
        root (str): The folder.
        names (list[str]): Paths below it, with '/'; of packed images those before
            packing.
        paths (list[str]): Paths by which mmengine's file backends read them.
        sizes (list[int], optional): Their bytes. None if each file would have to be
            looked up.
    """

    root: str
    names: list[str]
    paths: list[str]
    sizes: list[int] | None


def images_of(root: str, extensions: Sequence[str] = EXTENSIONS) -> Images:
    """List the images of a folder, files or packed.

    Args:
        root (str): The folder.
        extensions (Sequence[str]): Extensions of files. Defaults to those of the
            formats that Pillow reads.
    """
    if is_packed(root):
        packed = open_packed(root)
        paths = [packed.path(i) for i in range(len(packed))]
        return Images(root, packed.names, paths, packed.size.tolist())
    names, _ = list_images(root, extensions)
    return Images(root, names, [os.path.join(root, name) for name in names], None)


def name_and_size(path: str, root: str) -> tuple[str, int]:
    """Name and bytes of an image by its path.

    Args:
        path (str): One of :attr:`Images.paths`.
        root (str): The folder.
    """
    if path.startswith(f'{SCHEME}://'):
        member, name = split_path(path)
        return name, member.size
    return path.removeprefix(os.path.join(root, '')), os.path.getsize(path)

"""Tables of tensor names in other libraries, and renaming by them."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from mmdisco.errors import InputError

OURS = 'mmpretrain'  # library with the names that this project uses
Path = str  # of a module or a parameter: 'blocks.0.attn'


class Variant(NamedTuple):
    """One of several networks with the same tensor names.

    Args:
        name (str): Name for ``--variant``.
        networks (str): The networks, for messages.
        overrides (dict): Backbone settings that their weights need.
    """

    name: str
    networks: str
    overrides: Mapping = {}


class Naming(NamedTuple):
    """Tensor names of one network in a library.

    Args:
        library (str): Name of the library.
        rows (tuple): Pairs of the library's path and the path here. A key
            belongs to the row with its longest matching prefix. Several paths
            here in one row are stacked, in that order, in the library's
            tensor.
        left_out (dict): Paths of the library to leave out, with the reason.
        linear (tuple): Paths of the library that are linear layers, but 1x1
            convolutions here.
        variants (tuple): Networks with these names; if the variant is unknown,
            the first is assumed, and that is reported.
        alike (str): Networks with these names that are not supported.
    """

    library: str
    rows: tuple[tuple[Path, Path | tuple[Path, ...]], ...]
    left_out: Mapping[Path, str] = {}
    linear: tuple[Path, ...] = ()
    variants: tuple[Variant, ...] = (Variant('', ''),)
    alike: str = ''


class Renamed(NamedTuple):
    """A renamed state dict, and the keys that were not renamed."""

    state_dict: dict[str, Tensor]
    left_out: dict[str, str]  # key of the library -> reason
    unexpected: list[str]  # keys of the library without a row
    unused: int  # rows without a key


def split_key(key: str, paths: Mapping) -> tuple[str, str]:
    """Split a key after the longest of the given paths.

    Returns:
        tuple: The path, '' if none matches, and the rest with its dot.
    """
    path = key
    while path and path not in paths:
        path = path.rpartition('.')[0]
    return path, key[len(path) :]


def to_project(naming: Naming, state_dict: Mapping[str, Tensor]) -> Renamed:
    """Rename a library's backbone to this project's names.

    Args:
        naming (Naming): Table of the library.
        state_dict (dict): The library's tensors by key.
    """
    rows = dict(naming.rows)
    paths = {**dict.fromkeys(naming.left_out), **rows}
    renamed: dict[str, Tensor] = {}
    left_out: dict[str, str] = {}
    unexpected: list[str] = []
    used: set[str] = set()
    for key, value in state_dict.items():
        path, rest = split_key(key, paths)
        if not path:
            unexpected.append(key)
            continue
        if path not in rows:
            left_out[key] = naming.left_out[path]
            continue
        used.add(path)
        if path in naming.linear and value.dim() == 2:
            value = value[:, :, None, None]
        target = rows[path]
        targets = (target,) if isinstance(target, str) else target
        for name, part in zip(
            targets, value.chunk(len(targets)) if len(targets) > 1 else (value,)
        ):
            renamed[name + rest] = part
    return Renamed(renamed, left_out, unexpected, len(rows) - len(used))


def from_project(naming: Naming, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename this project's backbone to a library's names.

    Args:
        naming (Naming): Table of the library, without stacked rows.
        state_dict (dict): Tensors by this project's keys.

    Raises:
        InputError: If the library has no name for a key, or the table has
            stacked rows.
    """
    rows: dict[Path, Path] = {}
    for theirs, here in naming.rows:
        if isinstance(here, tuple):
            raise InputError(
                f'cannot rename to {naming.library}: its table has stacked tensors'
            )
        rows[here] = theirs
    renamed = {}
    for key, value in state_dict.items():
        path, rest = split_key(key, rows)
        if not path:
            raise InputError(f"'{key}' has no name in {naming.library}")
        target = rows[path]
        if target in naming.linear and value.dim() == 4:
            value = value[:, :, 0, 0]
        renamed[target + rest] = value
    return renamed

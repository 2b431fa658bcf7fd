from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from mmdisco.errors import InputError

OURS = 'mmpretrain'  # whose names this project keeps
Path = str  # of a module or a parameter: 'blocks.0.attn'


class Variant(NamedTuple):
    """A network among those that a library names alike.

    Args:
        name (str): For ``--variant``.
        networks (str): Whose weights these are.
        overrides (dict): Settings of our backbone that such weights need.
    """

    name: str
    networks: str
    overrides: Mapping = {}


class Naming(NamedTuple):
    """How a library names the tensors of one network.

    Args:
        library (str): Who names them so.
        rows (tuple): Pairs of their path and ours; a key belongs to the row
            with the longest path that it begins with. Several of ours in one
            row are stacked, in that order, in their tensor.
        left_out (dict): Their paths that have no place here, and why.
        linear (tuple): Their paths that are linear layers, where ours are 1x1
            convolutions.
        variants (tuple): The networks that have these names; where nothing
            shows which it is, the first is taken, and that is reported.
        alike (str): Networks that have these names, too, and are others.
    """

    library: str
    rows: tuple[tuple[Path, Path | tuple[Path, ...]], ...]
    left_out: Mapping[Path, str] = {}
    linear: tuple[Path, ...] = ()
    variants: tuple[Variant, ...] = (Variant('', ''),)
    alike: str = ''


class Renamed(NamedTuple):
    """What became of a state dict."""

    state_dict: dict[str, Tensor]
    left_out: dict[str, str]  # their key -> why
    unexpected: list[str]  # their keys that no row explains
    unused: int  # rows that no key needs


def split_key(key: str, paths: Mapping) -> tuple[str, str]:
    """The longest of the paths that a key begins with, and the rest.

    Returns:
        tuple: The path, '' if there is none, and the rest with its dot.
    """
    path = key
    while path and path not in paths:
        path = path.rpartition('.')[0]
    return path, key[len(path) :]


def to_ours(naming: Naming, state_dict: Mapping[str, Tensor]) -> Renamed:
    """Rename a library's backbone to this project's names.

    Args:
        naming (Naming): Its table.
        state_dict (dict): Its tensors by key.
    """
    rows = dict(naming.rows)
    paths = {**dict.fromkeys(naming.left_out), **rows}
    renamed, left_out, unexpected, used = {}, {}, [], set()
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
        ours = rows[path]
        goals = (ours,) if isinstance(ours, str) else ours
        for goal, part in zip(
            goals, value.chunk(len(goals)) if len(goals) > 1 else (value,)
        ):
            renamed[goal + rest] = part
    return Renamed(renamed, left_out, unexpected, len(rows) - len(used))


def to_theirs(naming: Naming, state_dict: Mapping[str, Tensor]) -> dict:
    """Rename this project's backbone to a library's names.

    Args:
        naming (Naming): Its table, without stacked rows.
        state_dict (dict): Tensors by our key.

    Raises:
        InputError: If a key has no name there, or the table has stacked rows.
    """
    if any(isinstance(ours, tuple) for _, ours in naming.rows):
        raise InputError(f'to the names of {naming.library} there is no way back')
    rows = {ours: theirs for theirs, ours in naming.rows}
    renamed = {}
    for key, value in state_dict.items():
        path, rest = split_key(key, rows)
        if not path:
            raise InputError(f"'{key}' has no name in {naming.library}")
        theirs = rows[path]
        if theirs in naming.linear and value.dim() == 4:
            value = value[:, :, 0, 0]
        renamed[theirs + rest] = value
    return renamed

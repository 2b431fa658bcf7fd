from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from .families import Family
from .heads import OURS
from .naming import split_key


class FoundHead(NamedTuple):
    """The projection head of a file."""

    names: dict[str, str]  # their key -> ours
    missing: Sequence[str] = ()
    unexpected: Sequence[str] = ()
    neck: dict | None = None


def find_head(family: Family, tensors: dict[str, Tensor]) -> FoundHead:
    """The projection head, if the family has one.

    Args:
        family (Family): Of the file.
        tensors (dict): All tensors of its group, by their keys.
    """
    if not family.heads:  # none, or under our names
        return _under_our_names(family, tensors)
    for head in family.heads:
        if family.head + head.mark in tensors:
            break
    else:
        return FoundHead({}, [family.head + family.heads[0].mark])
    rows = dict(head.rows)
    roots = tuple(f'{family.head}{path.split(".")[0]}.' for path in rows)
    names, unexpected = {}, []
    for key in tensors:
        path, rest = split_key(key.removeprefix(family.head), rows)
        if key.startswith(family.head) and path:
            names[key] = f'neck.{rows[path]}{rest}'
        elif key.startswith(roots):  # of a head that is longer
            unexpected.append(key)
    weights = [tensors.get(f'{family.head}{path}.weight') for path in rows]
    missing = [
        f'{family.head}{path}.*'
        for path, ours in head.rows
        if not any(n.startswith(f'neck.{ours}.') for n in names.values())
    ]
    if weights[0] is None or missing:
        return FoundHead(names, missing or [roots[0] + '0.weight'], unexpected)
    return FoundHead(names, missing, unexpected, head.neck(_widths(weights)))


def _under_our_names(family: Family, tensors: dict[str, Tensor]) -> FoundHead:
    names = {
        k: 'neck.' + k[len(family.head) :]
        for k in tensors
        if family.head and k.startswith(family.head)
    }
    for head in OURS:
        weights = [tensors.get(f'{family.head}{path}.weight') for path, _ in head.rows]
        layers = {f'neck.{ours}' for _, ours in head.rows}
        if None not in weights and layers == {
            name.rpartition('.')[0] for name in names.values()
        }:
            return FoundHead(names, neck=head.neck(_widths(weights)))
    return FoundHead(names)


def _widths(weights: Sequence[Tensor | None]) -> tuple[int, ...]:
    """Along the head, in to out, by the weights of its linear layers."""
    layers = [w for w in weights if w is not None and w.dim() == 2]
    return (layers[0].shape[1], *(w.shape[0] for w in layers))

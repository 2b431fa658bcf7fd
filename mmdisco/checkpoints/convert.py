from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmdisco.errors import InputError
from .families import FAMILIES, Family, find_head
from .libraries import NAMINGS, known_overrides
from .naming import OURS, Naming, Renamed, Variant, to_ours
from .wrappers import COUNTER, bare_names


class Conversion(NamedTuple):
    """A checkpoint under this project's names, and what became of the rest."""

    family: str
    library: str  # whose names the backbone had
    state_dict: dict[str, Tensor]  # 'backbone.*', and 'neck.*' if there is one
    left_out: dict[str, list[str]]  # why -> keys of the file
    missing: list[str]  # keys that the family should have
    unexpected: list[str]  # keys of the file that nothing explains
    neck: dict | None  # config of the head, where its widths are known
    overrides: Mapping  # settings that the backbone needs for these weights
    counters: int  # of batches, which were added
    taken: str = ''  # which of its encoders this is
    assumed: str = ''  # what neither keys nor file show, '' if nothing
    choices: Sequence[Mapping] = ()  # overrides of all that it may be then
    meta: Mapping = {}  # what the file says of itself
    alike: str = ''  # other networks of the same keys

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of 'backbone' or 'neck', without that prefix."""
        return {
            key.removeprefix(f'{name}.'): value
            for key, value in self.state_dict.items()
            if key.startswith(f'{name}.')
        }


class Found(NamedTuple):
    """The family of a file, and its tensors."""

    family: Family
    group: str  # entry of the file that has them; '' is the file itself
    tensors: dict[str, Tensor]  # by their bare names
    keys: dict[str, str]  # of the file, by bare names

    def key(self, name: str) -> str:
        """How the file names or would name a tensor."""
        if name in self.keys:
            return self.keys[name]
        like, key = next(iter(self.keys.items()))
        wrapper = key.removesuffix(like)
        return wrapper + name if wrapper + like == key else name


def _tensors(content) -> dict[str, Tensor]:
    return (
        {
            k: v
            for k, v in content.items()
            if isinstance(k, str) and isinstance(v, Tensor)
        }
        if isinstance(content, dict)
        else {}
    )


def find_family(loaded: Mapping, source: str) -> Found:
    """The family of a loaded file, the entry that has it, and its tensors.

    Raises:
        InputError: If it is of none, or of one that can't be taken, or two of
            its tensors are the same but for wrappers.
    """
    for family in FAMILIES:
        if source not in ('auto', family.name):
            continue
        for group in family.groups:
            tensors = _tensors(loaded.get(group) if group else loaded)
            if not tensors:
                continue
            found = Found(family, group, *bare_names(tensors))
            if any(name.startswith(family.marks) for name in found.tensors):
                for mark, why in family.refused:
                    if any(k.startswith(mark) for k in found.tensors):
                        raise InputError(f"can't take '{found.key(mark)}*': {why}")
                return found
    known = 'any that is known here' if source == 'auto' else f"'{source}'"
    raise InputError(
        f'no checkpoint of {known}: its first keys are '
        f'{", ".join(map(str, list(loaded)[:3])) or "none"}'
    )


def _add_counters(state_dict: dict[str, Tensor]) -> int:
    """Files of an older torch have no count of batches beside BN."""
    wanted = {
        k.replace('running_var', 'num_batches_tracked')
        for k in state_dict
        if k.endswith('.running_var')
    }
    added = wanted - state_dict.keys()
    state_dict.update((key, torch.tensor(0)) for key in added)
    return len(added)


def _choose(naming: Naming, family: Family, wanted: str) -> tuple[Variant, str]:
    """The variant of a naming, and what was assumed to choose it.

    Raises:
        InputError: If the wanted one is not among them, or not that of the
            code which writes such files.
    """
    named = {variant.name: variant for variant in naming.variants}
    fixed = family.variant if family.variant in named else ''
    if wanted == 'auto':
        first = naming.variants[0]
        if fixed or len(named) == 1:
            return named[fixed] if fixed else first, ''
        others = '; '.join(
            f'those of {v.networks} have the same names: convert them by '
            f'tools/convert_checkpoint.py --variant {v.name}'
            for v in naming.variants[1:]
        )
        return first, f'taken for weights of {first.networks}; {others}'
    if wanted not in named or len(named) == 1:
        known = ' and '.join(f"'{name}'" for name in named if name)
        raise InputError(
            f'--variant {wanted} is not for this network of {naming.library}: '
            f'{f"it has {known}" if known else "its names have one meaning"}'
        )
    if fixed and wanted != fixed:
        raise InputError(
            f'--variant {wanted} contradicts the code that '
            f"writes files of '{family.name}': that is {fixed}"
        )
    return named[wanted], ''


def _states_network(meta: Mapping) -> bool:
    return bool({'cfg', 'backbone'} & meta.keys())


def _settings(
    meta: Mapping,
    own: bool,
    naming: Naming,
    renamed: Renamed,
    family: Family,
    variant: str,
) -> tuple[Mapping, str]:
    """Overrides of the backbone, and what was assumed."""
    if not own:
        chosen, assumed = _choose(naming, family, variant)
        return chosen.overrides, assumed
    known = naming.library == OURS and not (renamed.unexpected or renamed.unused)
    overrides = known_overrides(meta, naming if known else None)
    stated = bool(overrides) or _states_network(meta)
    if known and not stated:
        chosen, assumed = _choose(naming, family, variant)
        return chosen.overrides, assumed
    if variant != 'auto':
        raise InputError(
            f'--variant {variant} is not for this file: '
            + ('it states its settings' if stated else 'its names have one meaning')
        )
    return overrides, ''


def _sort(
    found: Found, head: Mapping[str, str], longer: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, list[str]], list[str]]:
    """Tensors of the backbone, keys that are left out, unexpected names."""
    backbone, left_out, unexpected = {}, defaultdict(list), list(longer)
    family = found.family
    for name, value in found.tensors.items():
        if name in head or name in unexpected:
            continue
        prefix, why = next(
            (
                (prefix, why)
                for prefix, why in family.left_out
                if name.startswith(prefix)
            ),
            (None, None),
        )
        if name == COUNTER:
            left_out['count of averaged weights'].append(found.key(name))
        elif name.startswith(family.backbone) and not prefix:
            backbone[name[len(family.backbone) :]] = value
        elif why:
            left_out[why].append(found.key(name))
        else:
            unexpected.append(name)
    return backbone, left_out, unexpected


def _note_the_rest(
    loaded: Mapping, found: Found, left_out: dict[str, list[str]]
) -> None:
    """Add what is not a tensor, and what is beside the weights."""
    group, kept = found.group, set(found.keys.values())
    left_out['no tensors'] += [
        str(k) for k in (loaded[group] if group else loaded) if k not in kept
    ]
    left_out['entries beside the weights'] += [
        str(k) for k in loaded if group and k != group
    ]


def convert(
    loaded: Mapping,
    namings: Sequence[Naming] = NAMINGS,
    source: str = 'auto',
    variant: str = 'auto',
) -> Conversion:
    """Rename a published checkpoint to ``backbone.*`` and ``neck.*``.

    Args:
        loaded (dict): The content of the file.
        namings (Sequence[Naming]): Of which one explains the backbone. The
            one that leaves least unexplained is taken. Defaults to all.
        source (str): Name of the family; 'auto' goes by the keys.
        variant (str): Which of the networks that are named alike it is;
            'auto' goes by the family, or else takes the first and says so.

    Raises:
        InputError: If the file is of no family, or of one that can't be
            taken, or nothing explains its backbone, or it can't be that
            variant.
    """
    found = find_family(loaded, source)
    family, tensors = found.family, found.tensors
    meta = loaded.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    names, missing, longer, neck = find_head(family, tensors)
    backbone, left_out, unexpected = _sort(found, names, longer)
    _note_the_rest(loaded, found, left_out)

    naming, renamed = min(
        ((naming, to_ours(naming, backbone)) for naming in namings),
        key=lambda pair: len(pair[1].unexpected) + pair[1].unused,
    )
    named_here = family.name in ('mmdisco', 'mmpretrain', 'mmselfsup')
    # Somebody's own network is none of the tables', and may keep its names.
    own = not named_here and 2 * renamed.unused > len(naming.rows)
    if own and not (family.backbone or family.heads):
        first = next(iter(backbone), 'of none')
        raise InputError(
            'it has no backbone that is known here, its first '
            f"key is '{found.key(first)}'"
        )
    library = OURS if named_here else 'nobody else'
    if named_here and _states_network(meta):
        neck = None  # there
    if own and variant != 'auto':
        raise InputError(
            f'--variant {variant} is not for this file: its '
            'network is none that is known here'
        )
    overrides, assumed = (
        ({}, '')
        if own
        else _settings(meta, named_here, naming, renamed, family, variant)
    )
    if not (named_here or own):
        library = naming.library
        backbone = renamed.state_dict
        unexpected += [family.backbone + k for k in renamed.unexpected]
        for key, why in renamed.left_out.items():
            left_out[why].append(found.key(family.backbone + key))
    state_dict = {f'backbone.{k}': v for k, v in backbone.items()}
    state_dict.update((ours, tensors[k]) for k, ours in names.items())
    added = _add_counters(state_dict)
    return Conversion(
        family.name,
        library,
        state_dict,
        {why: keys for why, keys in left_out.items() if keys},
        [*map(found.key, missing)],
        [*map(found.key, unexpected)],
        neck,
        overrides,
        added,
        family.taken + (f" in '{found.group}'" if found.group else ''),
        assumed,
        [v.overrides for v in naming.variants] if assumed else (),
        meta,
        '' if own or named_here else naming.alike,
    )

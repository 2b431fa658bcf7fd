"""Convert a published checkpoint to this project's tensor names."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmdisco.errors import InputError
from .families import FAMILIES, Family, find_head
from .libraries import NAMINGS, known_overrides
from .naming import OURS, Naming, Renamed, Variant, to_project
from .wrappers import COUNTER, bare_names


class Conversion(NamedTuple):
    """A checkpoint under this project's names, and an account of the rest."""

    family: str
    library: str  # library with the original names, or "the file"
    state_dict: dict[str, Tensor]  # 'backbone.*', and 'neck.*' if it has one
    left_out: dict[str, list[str]]  # reason -> keys of the file
    missing: list[str]  # keys that the family should have
    unexpected: list[str]  # unknown keys of the file
    neck: dict | None  # config of the head, if its widths are known
    overrides: Mapping  # backbone settings that these weights need
    counters: int  # number of added BN batch counters
    taken: str = ''  # which of the file's encoders this is
    assumed: str = ''  # assumption that neither keys nor metadata confirm
    choices: Sequence[Mapping] = ()  # with an assumption: all possible overrides
    meta: Mapping = {}  # metadata of the file
    alike: str = ''  # other networks with the same keys

    def part(self, name: str) -> dict[str, Tensor]:
        """Tensors of 'backbone' or 'neck', without that prefix."""
        return {
            key.removeprefix(f'{name}.'): value
            for key, value in self.state_dict.items()
            if key.startswith(f'{name}.')
        }


class FamilyMatch(NamedTuple):
    """The family of a file, and its tensors."""

    family: Family
    group: str  # entry of the file with the tensors; '' is the file itself
    tensors: dict[str, Tensor]  # by bare name
    keys: dict[str, str]  # bare name -> key of the file

    def key(self, name: str) -> str:
        """Key of a tensor in the file, or the key that it would have."""
        if name in self.keys:
            return self.keys[name]
        bare, key = next(iter(self.keys.items()))
        wrapper = key.removesuffix(bare)
        return wrapper + name if wrapper + bare == key else name


def tensors_of(content) -> dict[str, Tensor]:
    """The tensors of a file's entry by key, {} if it is not a dict."""
    return (
        {
            k: v
            for k, v in content.items()
            if isinstance(k, str) and isinstance(v, Tensor)
        }
        if isinstance(content, dict)
        else {}
    )


def find_family(loaded: Mapping, source: str) -> FamilyMatch:
    """Find the family of a loaded file, the entry with its weights, its tensors.

    Raises:
        InputError: If no family matches, the network is not supported, or two
            keys differ only by wrappers.
    """
    for family in FAMILIES:
        if source not in ('auto', family.name):
            continue
        for group in family.groups:
            tensors = tensors_of(loaded.get(group) if group else loaded)
            if not tensors:
                continue
            match = FamilyMatch(family, group, *bare_names(tensors))
            if any(name.startswith(family.marks) for name in match.tensors):
                for mark, why in family.refused:
                    if any(k.startswith(mark) for k in match.tensors):
                        raise InputError(
                            f"'{match.key(mark)}*' is not supported: {why}"
                        )
                return match
    known = 'any known family' if source == 'auto' else f"'{source}'"
    raise InputError(
        f'not a checkpoint of {known}: its first keys are '
        f'{", ".join(map(str, list(loaded)[:3])) or "none"}'
    )


def _add_counters(state_dict: dict[str, Tensor]) -> int:
    """Add BN batch counters, which files of old torch versions lack."""
    needed = {
        k.replace('running_var', 'num_batches_tracked')
        for k in state_dict
        if k.endswith('.running_var')
    }
    added = needed - state_dict.keys()
    state_dict.update((key, torch.tensor(0)) for key in added)
    return len(added)


def _choose(naming: Naming, family: Family, name: str) -> tuple[Variant, str]:
    """Choose the variant of a naming; also returns the assumption made.

    Raises:
        InputError: If the naming has no such variant, or the code that writes
            this family's files uses another.
    """
    named = {variant.name: variant for variant in naming.variants}
    fixed = family.variant if family.variant in named else ''
    if name == 'auto':
        first = naming.variants[0]
        if fixed or len(named) == 1:
            return named[fixed] if fixed else first, ''
        others = '; '.join(
            f'weights of {v.networks} have the same names: convert those with '
            f'tools/convert_checkpoint.py --variant {v.name}'
            for v in naming.variants[1:]
        )
        return first, f'assumed to be weights of {first.networks}; {others}'
    if name not in named or len(named) == 1:
        known = ' and '.join(f"'{each}'" for each in named if each)
        raise InputError(
            f'--variant {name} does not apply to this network of {naming.library}: '
            f'{f"it has {known}" if known else "it has no variants"}'
        )
    if fixed and name != fixed:
        raise InputError(
            f'--variant {name} contradicts the code that '
            f"writes files of '{family.name}': that is {fixed}"
        )
    return named[name], ''


def _states_network(meta: Mapping) -> bool:
    return bool({'cfg', 'backbone'} & meta.keys())


def _settings(
    meta: Mapping,
    renamed_before: bool,
    naming: Naming,
    renamed: Renamed,
    family: Family,
    variant: str,
) -> tuple[Mapping, str]:
    """Overrides of the backbone, and the assumption made."""
    if not renamed_before:
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
            f'--variant {variant} does not apply to this file: '
            + ('it records its settings' if stated else 'it has no variants')
        )
    return overrides, ''


def _sort(
    match: FamilyMatch, head: Mapping[str, str], longer: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, list[str]], list[str]]:
    """Split into tensors of the backbone, keys left out, unexpected names."""
    backbone: dict[str, Tensor] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    unexpected, family = list(longer), match.family
    for name, value in match.tensors.items():
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
            left_out['count of averaged weights'].append(match.key(name))
        elif name.startswith(family.backbone) and not prefix:
            backbone[name[len(family.backbone) :]] = value
        elif why:
            left_out[why].append(match.key(name))
        else:
            unexpected.append(name)
    return backbone, left_out, unexpected


def _note_the_rest(
    loaded: Mapping, match: FamilyMatch, left_out: dict[str, list[str]]
) -> None:
    """Add entries that are not tensors, and entries beside the weights."""
    group, kept = match.group, set(match.keys.values())
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
        namings (Sequence[Naming]): Candidate namings of the backbone; the one
            with the fewest unknown keys is used. Defaults to all.
        source (str): Name of the family; 'auto' detects it from the keys.
        variant (str): Which of the networks with equal names it is; 'auto'
            uses the family's, or else the first and reports the assumption.

    Raises:
        InputError: If the family is unknown or not supported, the backbone is
            unknown, or the variant does not apply.
    """
    match = find_family(loaded, source)
    family, tensors = match.family, match.tensors
    meta = loaded.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    names, missing, longer, neck = find_head(family, tensors)
    backbone, left_out, unexpected = _sort(match, names, longer)
    _note_the_rest(loaded, match, left_out)

    naming, renamed = min(
        ((naming, to_project(naming, backbone)) for naming in namings),
        key=lambda pair: len(pair[1].unexpected) + pair[1].unused,
    )
    renamed_before = family.name in ('mmdisco', 'mmpretrain', 'mmselfsup')
    # A custom network is in none of the tables and keeps its names.
    custom = not renamed_before and 2 * renamed.unused > len(naming.rows)
    if custom and not (family.backbone or family.heads):
        first = next(iter(backbone), 'of none')
        raise InputError(
            f"it has no known backbone; its first key is '{match.key(first)}'"
        )
    library = OURS if renamed_before else 'the file'
    if renamed_before and _states_network(meta):
        neck = None  # recorded in the metadata
    if custom and variant != 'auto':
        raise InputError(
            f'--variant {variant} does not apply to this file: its network is unknown'
        )
    overrides, assumed = (
        ({}, '')
        if custom
        else _settings(meta, renamed_before, naming, renamed, family, variant)
    )
    if not (renamed_before or custom):
        library = naming.library
        backbone = renamed.state_dict
        unexpected += [family.backbone + k for k in renamed.unexpected]
        for key, why in renamed.left_out.items():
            left_out[why].append(match.key(family.backbone + key))
    state_dict = {f'backbone.{k}': v for k, v in backbone.items()}
    state_dict.update((name, tensors[key]) for key, name in names.items())
    added = _add_counters(state_dict)
    return Conversion(
        family.name,
        library,
        state_dict,
        {why: keys for why, keys in left_out.items() if keys},
        [*map(match.key, missing)],
        [*map(match.key, unexpected)],
        neck,
        overrides,
        added,
        family.taken + (f" in '{match.group}'" if match.group else ''),
        assumed,
        [v.overrides for v in naming.variants] if assumed else (),
        meta,
        '' if custom or renamed_before else naming.alike,
    )

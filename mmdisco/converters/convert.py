from collections import defaultdict
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmdisco.errors import InputError
from .families import FAMILIES, Family
from .find_head import find_head
from .libraries import NAMINGS, known_overrides
from .naming import Naming, to_ours


class Conversion(NamedTuple):
    """A checkpoint under this project's names, and what became of the rest."""
    family: str
    library: str  # whose names the backbone had
    state_dict: Dict[str, Tensor]  # 'backbone.*', and 'neck.*' if there is one
    left_out: Dict[str, List[str]]  # why -> keys of the file
    missing: List[str]  # keys that the family should have
    unexpected: List[str]  # keys of the file that nothing explains
    neck: Optional[dict]  # config of the head, where its widths are known
    overrides: Mapping  # settings that the backbone needs for these weights
    counters: int  # of batches, which were added

    def part(self, name: str) -> Dict[str, Tensor]:
        """The tensors of 'backbone' or 'neck', without that prefix."""
        return {key.removeprefix(f'{name}.'): value
                for key, value in self.state_dict.items()
                if key.startswith(f'{name}.')}


def _tensors(content) -> Dict[str, Tensor]:
    return {k: v for k, v in content.items()
            if isinstance(k, str) and isinstance(v, Tensor)
            } if isinstance(content, dict) else {}


def find_family(loaded: Mapping, source: str) -> Tuple[Family, str, Dict]:
    """The family of a loaded file, the entry that has it, and its tensors.

    Raises:
        InputError: If it is of none, or of one that can't be taken.
    """
    for family in FAMILIES:
        if source not in ('auto', family.name):
            continue
        for group in family.groups:
            tensors = _tensors(loaded.get(group) if group else loaded)
            if any(k.startswith(family.marks) for k in tensors):
                for mark, why in family.refused:
                    if any(k.startswith(mark) for k in tensors):
                        raise InputError(f"can't take '{mark}*': {why}")
                return family, group, tensors
    known = 'any that is known here' if source == 'auto' else f"'{source}'"
    raise InputError(f'no checkpoint of {known}: its first keys are '
                     f"{', '.join(map(str, list(loaded)[:3])) or 'none'}")


def _add_counters(state_dict: Dict[str, Tensor]) -> int:
    """Files of an older torch have no count of batches beside BN."""
    wanted = {k.replace('running_var', 'num_batches_tracked')
              for k in state_dict if k.endswith('.running_var')}
    added = wanted - state_dict.keys()
    state_dict.update((key, torch.tensor(0)) for key in added)
    return len(added)


def convert(loaded: Mapping, namings: Sequence[Naming] = NAMINGS,
            source: str = 'auto') -> Conversion:
    """Rename a published checkpoint to ``backbone.*`` and ``neck.*``.

    Args:
        loaded (dict): The content of the file.
        namings (Sequence[Naming]): Of which one explains the backbone. The
            one that leaves least unexplained is taken. Defaults to all.
        source (str): Name of the family; 'auto' goes by the keys.

    Raises:
        InputError: If the file is of no family, or of one that can't be
            taken, or nothing explains its backbone.
    """
    family, group, tensors = find_family(loaded, source)
    names, missing, longer, neck = find_head(family, tensors)
    unexpected = list(longer)
    left_out, backbone = defaultdict(list), {}
    for key in tensors:
        if key in names or key in unexpected:
            continue
        prefix, why = next(((prefix, why) for prefix, why in family.left_out
                            if key.startswith(prefix)), (None, None))
        if key.startswith(family.backbone) and not prefix:
            backbone[key[len(family.backbone):]] = tensors[key]
        elif why:
            left_out[why].append(key)
        else:
            unexpected.append(key)
    content = loaded[group] if group else loaded
    left_out['no tensors'] += [str(k) for k in content if k not in tensors]
    left_out['entries beside the weights'] += [
        str(k) for k in loaded if group and k != group]

    naming, renamed = min(
        ((naming, to_ours(naming, backbone)) for naming in namings),
        key=lambda pair: len(pair[1].unexpected) + pair[1].unused)
    named_here = family.name in ('mmdisco', 'mmpretrain')
    # Somebody's own network is none of the tables', and may keep its names.
    own = not named_here and 2 * renamed.unused > len(naming.rows)
    if own and not family.backbone:
        raise InputError('it has no backbone that is known here, its first '
                         f"key is '{next(iter(backbone))}'")
    library = 'mmpretrain' if named_here else 'nobody else'
    overrides = known_overrides(loaded.get('meta')) if named_here else {}
    if not (named_here or own):
        library, overrides = naming.library, naming.overrides
        backbone = renamed.state_dict
        unexpected += [family.backbone + k for k in renamed.unexpected]
        for key, why in renamed.left_out.items():
            left_out[why].append(family.backbone + key)
    state_dict = {f'backbone.{k}': v for k, v in backbone.items()}
    state_dict.update((ours, tensors[k]) for k, ours in names.items())
    added = _add_counters(state_dict)
    return Conversion(
        family.name, library, state_dict,
        {why: keys for why, keys in left_out.items() if keys}, list(missing),
        unexpected, neck, overrides, added)

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmdisco.errors import InputError, MissingFileError
from mmdisco.utils import unwrapped
from .convert import Conversion, convert
from .safe_load import safe_load
from .settings import check_settings
from .wrappers import bare_names


def read_conversion(path: str) -> Conversion:
    """Read a checkpoint of any known family under this project's names.

    Args:
        path (str): This project's or mmpretrain's checkpoint, an extracted
            backbone, or a published file; see :mod:`.families`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a checkpoint, of no known family, holds weights
            of the student that nothing explains, or that are not finite.
    """
    return explain(safe_load(path), path)


def explain(loaded: Mapping, path: str) -> Conversion:
    """Rename what was read from a file; its name is for the message.

    Args:
        loaded (dict): The content of the file.
        path (str): Its name.

    Raises:
        ValueError: If it is of no known family, or holds weights of the
            student that nothing explains.
    """
    try:
        conversion = convert(loaded if isinstance(loaded, dict) else {})
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
    if conversion.unexpected:
        raise InputError(
            f"'{path}' ({conversion.family}) has {len(conversion.unexpected)} "
            f'keys that are not known, e.g. {conversion.unexpected[0]}'
        )
    check_finite(conversion.state_dict, f"'{path}'")
    return conversion


def misfits(state_dict: Mapping, own: Mapping) -> list[str]:
    """Keys of both of which shapes or kinds differ, with both sides.

    Args:
        state_dict (dict): Tensors of a file.
        own (dict): Those of the network.
    """
    found = []
    for key in own:
        if key in state_dict:
            theirs, ours = (
                (list(t.shape), t.is_floating_point())
                for t in (state_dict[key], own[key])
            )
            if theirs[0] != ours[0]:
                found.append(f'{key} ({theirs[0]} in the file, {ours[0]} in the model)')
            elif theirs[1] != ours[1]:
                found.append(
                    f'{key} ({state_dict[key].dtype} in the file, '
                    f'{own[key].dtype} in the model)'
                )
    return found


def check_fit(own: Mapping, state_dict: Mapping, name: str) -> None:
    """Compare tensors of a file with those of a network.

    Args:
        own (dict): Those of the network.
        state_dict (dict): Those of the file, all of them and no others.
        name (str): What these are, for the message.

    Raises:
        InputError: If a key is missing or left over, or of another shape or
            kind.
    """
    missing = [k for k in own if k not in state_dict]
    unexpected = [k for k in state_dict if k not in own]
    misfit = misfits(state_dict, own)
    faults = [
        f'{len(keys)} {what}, e.g. {keys[0]}'
        for what, keys in (
            ('missing', missing),
            ('unexpected', unexpected),
            ('of another shape or kind', misfit),
        )
        if keys
    ]
    if faults:
        raise InputError(f'{name} does not fit this architecture: {"; ".join(faults)}')


def load_strictly(module: nn.Module, state_dict: dict, name: str) -> None:
    """Load weights or explain what does not fit.

    Args:
        module (nn.Module): The network.
        state_dict (dict): Its weights, all of them and no others.
        name (str): What the weights are, for the message.

    Raises:
        ValueError: If a key is missing or left over, or of another shape or
            kind.
    """
    check_fit(module.state_dict(), state_dict, name)
    try:
        module.load_state_dict(state_dict)
    except RuntimeError as error:  # sparse or quantized tensors, say
        last = str(error).strip().split('\n')[-1].strip()
        raise InputError(f"{name} can't be loaded: {last}") from error


def check_finite(state_dict: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights that are not numbers, or give none.

    Args:
        state_dict (dict): Tensors by key.
        name (str): What they are, for the error.

    Raises:
        InputError: If a value is not finite, or a variance of BN is negative.
    """
    for key, value in state_dict.items():
        if not value.is_floating_point():
            continue
        if value.dtype.itemsize == 1:  # torch compares no floats of 8 bits
            value = value.float()
        if not value.isfinite().all():
            raise InputError(f'{name}: {key} is not finite')
        if key.endswith('running_var') and (value < 0).any():
            raise InputError(
                f'{name}: {key}, a variance, is negative '
                f'({float(value.min()):.3g}), and BN takes its '
                'root: the file is damaged, take another'
            )


def read_teacher(
    path: str, backbone: nn.Module, url: str | None = None, head: bool = True
) -> dict:
    """Read a teacher from any known layout.

    Args:
        path (str): The file.
        backbone (nn.Module): What the weights are for.
        url (str, optional): Where it is published, to be told if there is no
            such file. Defaults to None.
        head (bool): Whether its projection head is wanted, or its backbone
            alone. Defaults to True.

    Returns:
        dict: Tensors by key, ``backbone.*`` and ``neck.*``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, has no projection head, is not
            finite, or was learned with other settings than the backbone has.
    """
    if not Path(path).is_file():
        where = f' (it is published at {url})' if url else ''
        raise MissingFileError(
            f"teacher file '{path}' not found: put it there{where}, or set "
            'model.teacher.checkpoint'
        )
    conversion = read_conversion(path)
    state_dict = conversion.state_dict
    if not head:
        state_dict = {k: v for k, v in state_dict.items() if not k.startswith('neck.')}
    elif not any(key.startswith('neck.') for key in state_dict):
        raise InputError(
            f"teacher file '{path}' ({conversion.family}) has no projection "
            'head: it holds a backbone alone, and DisCo distils the final '
            'embedding. Use the file of the pre-training itself'
        )
    check_settings(
        conversion, backbone, f"teacher file '{path}'", 'model.teacher.backbone'
    )
    return state_dict


# Where a file keeps norms and directions of DINO's last layer: the entry of
# the file, the ends of both keys. First as DINO publishes it, then ours.
_PLACES = (
    ('teacher', 'head.last_layer.weight_g', 'head.last_layer.weight_v'),
    *(
        (
            'state_dict',
            f'{ssl}head.last_layer.parametrizations.weight.original0',
            f'{ssl}head.last_layer.parametrizations.weight.original1',
        )
        for ssl in ('', 'ssl.')
    ),
)


class Prototypes(NamedTuple):
    """The last layer of DINO, and the centre of its outputs."""

    prototypes: Tensor  # [K, D]
    center: Tensor  # [1, K]


def read_prototypes(path: str) -> Prototypes:
    """Read DINO's last layer from a checkpoint of its pre-training.

    Args:
        path (str): DINO's full checkpoint, or one of :class:`DINO`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no last layer.
    """
    loaded = safe_load(path)
    for group, norms, directions in _PLACES:
        content = loaded.get(group) if isinstance(loaded, dict) else None
        tensors, _ = bare_names(content or {})
        if directions in tensors and norms in tensors:
            rows = normalize(tensors[directions].float(), dim=1)
            center = tensors.get(norms.split('last_layer')[0] + 'center')
            if center is None:
                center = (loaded.get('dino_loss') or {}).get('center')
            if center is None:
                center = torch.zeros(1, len(rows))
            return Prototypes(rows * tensors[norms].float(), center.float())
    raise InputError(
        f"'{path}' has no last layer of DINO: use the full "
        'checkpoint of the pre-training'
    )


def check_complete(runner: Runner, path: str) -> None:
    """Load a checkpoint for a test; refuse one of other weights.

    mmengine would test what the file does not hold with random weights, after
    a warning. Names of the file may have wrappers
    (:mod:`mmdisco.checkpoints.wrappers`), which mmengine would not load.

    Args:
        runner (Runner): Of the whole model, before its ``test``.
        path (str): The checkpoint.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If it is no checkpoint, or not of all this model.
    """
    loaded = safe_load(path)
    if not isinstance(loaded, dict) or 'state_dict' not in loaded:
        raise InputError(
            f"checkpoint '{path}' has no state_dict: take one "
            'that tools/train.py has written with this config'
        )
    model, saved = unwrapped(runner.model), loaded['state_dict']
    try:
        state_dict = _by_names_of(model, saved)
        load_strictly(model, state_dict, f"checkpoint '{path}'")
    except InputError as error:
        raise InputError(
            f'{error}: take one of the whole model, as '
            'tools/train.py writes with this config'
        ) from error
    if state_dict.keys() != saved.keys():
        runner._has_loaded = True
        runner.logger.info(f"Loaded '{path}', by names without wrappers")


def _by_names_of(model: nn.Module, saved: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file by the model's names; either may have wrappers."""
    own = model.state_dict()
    if saved.keys() == own.keys():
        return saved
    tensors, names = bare_names(saved)[0], bare_names(own)[1]
    if tensors.keys() != names.keys():
        return saved  # so that errors name its keys
    return {names[name]: value for name, value in tensors.items()}

"""Read a checkpoint, compare it with a network and load it completely."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

import torch
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmdisco.errors import InputError, MissingFileError
from mmdisco.utils import unwrapped
from .convert import Conversion, convert
from .licence import teacher_of_file
from .safe_load import exists, safe_load
from .settings import check_settings
from .wrappers import bare_names


def read_conversion(path: str) -> Conversion:
    """Read a checkpoint of any known family, converted to this project's names.

    Args:
        path (str): This project's or mmpretrain's checkpoint, an extracted
            backbone, or a published file; see :mod:`.families`.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If it is not a checkpoint of a known family, has unknown
            weights of the student, or weights that are not finite.
    """
    return convert_loaded(safe_load(path), path)


def convert_loaded(loaded: Mapping, path: str) -> Conversion:
    """Convert the content of a file to this project's names.

    Args:
        loaded (dict): The content of the file.
        path (str): Name of the file, for error messages.

    Raises:
        InputError: If it is not a checkpoint of a known family, has unknown
            weights of the student, or weights that are not finite.
    """
    try:
        conversion = convert(loaded if isinstance(loaded, dict) else {})
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
    if conversion.unexpected:
        raise InputError(
            f"'{path}' ({conversion.family}) has {len(conversion.unexpected)} "
            f'unknown keys, e.g. {conversion.unexpected[0]}'
        )
    check_finite(conversion.state_dict, f"'{path}'")
    return conversion


def misfits(state_dict: Mapping, expected: Mapping) -> list[str]:
    """Describe the tensors with different shapes or kinds of dtype.

    Args:
        state_dict (dict): Tensors of a file.
        expected (dict): Tensors of the network.

    Returns:
        list[str]: Key and both sides, of each such tensor that both have.
    """
    different = []
    for key, target in expected.items():
        if key in state_dict:
            source = state_dict[key]
            if source.shape != target.shape:
                different.append(
                    f'{key} ({list(source.shape)} in the file, '
                    f'{list(target.shape)} in the model)'
                )
            elif source.is_floating_point() != target.is_floating_point():
                different.append(
                    f'{key} ({source.dtype} in the file, {target.dtype} in the model)'
                )
    return different


def check_fit(expected: Mapping, state_dict: Mapping, name: str) -> None:
    """Compare the tensors of a file with those of a network.

    Args:
        expected (dict): Tensors of the network.
        state_dict (dict): Tensors of the file, all of them and no others.
        name (str): Name of the file in messages.

    Raises:
        InputError: If a key is missing or unexpected, or a tensor has another
            shape or kind of dtype.
    """
    missing = [k for k in expected if k not in state_dict]
    unexpected = [k for k in state_dict if k not in expected]
    misfit = misfits(state_dict, expected)
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


def load_strictly(
    module: nn.Module, state_dict: Mapping[str, Tensor], name: str
) -> None:
    """Load weights; every tensor must load.

    Args:
        module (nn.Module): The network.
        state_dict (dict): Its weights, all of them and no others.
        name (str): Name of the weights in messages.

    Raises:
        InputError: If a key is missing or unexpected, or a tensor has another
            shape or kind of dtype.
    """
    expected = module.state_dict()
    check_fit(expected, state_dict, name)
    try:
        try:
            module.load_state_dict(state_dict)
        except ValueError:  # MNASNet needs a version, which renamed tensors have not
            state_dict = OrderedDict(state_dict)
            state_dict._metadata = expected._metadata  # type: ignore[attr-defined]
            module.load_state_dict(state_dict)
    except RuntimeError as error:  # e.g. sparse or quantized tensors
        last = str(error).strip().split('\n')[-1].strip()
        raise InputError(f"{name} can't be loaded: {last}") from error


def check_finite(state_dict: Mapping[str, Tensor], name: str) -> None:
    """Check that weights are finite and BN variances not negative.

    Args:
        state_dict (dict): Tensors by key.
        name (str): Name of the weights in messages.

    Raises:
        InputError: If a value is not finite, or a BN variance is negative.
    """
    for key, value in state_dict.items():
        if not value.is_floating_point():
            continue
        if value.dtype.itemsize == 1:  # isfinite does not support 8-bit floats
            value = value.float()
        if not value.isfinite().all():
            raise InputError(f'{name}: {key} is not finite')
        if key.endswith('running_var') and (value < 0).any():
            raise InputError(
                f'{name}: {key}, a variance, is negative '
                f'({float(value.min()):.3g}), and BN takes its '
                'root: the file is damaged, use another'
            )


def check_teacher_file(path: str, url: str | None = None) -> None:
    """Check that a teacher's file exists.

    Args:
        path (str): The file, or a folder with it.
        url (str, optional): Source of the file, for the message.

    Raises:
        MissingFileError: If it does not exist.
    """
    if not exists(path):
        remedy = f'download it from {url}' if url else 'put it there'
        name = teacher_of_file(path)
        if url and name:
            remedy += f' (mmdisco download {name})'
        raise MissingFileError(
            f"teacher file '{path}' not found: {remedy}, or set "
            'model.teacher.checkpoint'
        )


def read_teacher(
    path: str, backbone: nn.Module, url: str | None = None, head: bool = True
) -> dict:
    """Read a teacher from a file in any known layout.

    Args:
        path (str): The file.
        backbone (nn.Module): Backbone for the weights.
        url (str, optional): Source of the file. Never downloaded; shown in
            the error if the file is missing. Defaults to None.
        head (bool): Whether the projection head is needed, too. Defaults to
            True.

    Returns:
        dict: Tensors by key, ``backbone.*`` and ``neck.*``.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If it is not a checkpoint, has no projection head, is not
            finite, or was trained with other settings than the backbone's.
    """
    check_teacher_file(path, url)
    conversion = read_conversion(path)
    state_dict = conversion.state_dict
    if not head:
        heads = [k for k in state_dict if k.startswith('neck.')]
        left_out = {**conversion.left_out, **({'head': heads} if heads else {})}
        print_log(
            '; '.join(
                [
                    f"'{path}' ({conversion.family})",
                    *(
                        f'left out {len(keys)}: {why} ({keys[0]}'
                        f'{", …" if len(keys) > 1 else ""})'
                        for why, keys in left_out.items()
                    ),
                ]
            ),
            logger='current',
        )
        state_dict = {k: v for k, v in state_dict.items() if k not in heads}
    elif not any(key.startswith('neck.') for key in state_dict):
        raise InputError(
            f"teacher file '{path}' ({conversion.family}) has no projection "
            'head, only a backbone, and DisCo distils the final embedding: '
            'use the original pre-training checkpoint'
        )
    check_settings(
        conversion, backbone, f"teacher file '{path}'", 'model.teacher.backbone'
    )
    return state_dict


# Norms and directions of DINO's last layer in a file: its entry and the
# suffixes of both keys. First DINO's published files, then this project's.
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
    """DINO's last layer and the centre of its outputs."""

    prototypes: Tensor  # [K, D]
    center: Tensor  # [1, K]


def read_prototypes(path: str) -> Prototypes:
    """Read DINO's last layer from a pre-training checkpoint.

    Args:
        path (str): DINO's full checkpoint, or a checkpoint of :class:`DINO`.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If it has no last layer.
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
        f"'{path}' has no last layer of DINO: use the full pre-training checkpoint"
    )


def check_complete(runner: Runner, path: str) -> None:
    """Load a checkpoint before a test; it must contain the whole model.

    mmengine only warns about missing tensors and tests them with random
    values. Key prefixes of wrappers (:mod:`mmdisco.checkpoints.wrappers`),
    which mmengine does not load, are removed.

    Args:
        runner (Runner): Runner with the whole model, before its ``test``.
        path (str): The checkpoint.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If it is not a checkpoint, or not of this whole model.
    """
    loaded = safe_load(path)
    if not isinstance(loaded, dict) or 'state_dict' not in loaded:
        raise InputError(
            f"checkpoint '{path}' has no state_dict: use one "
            'written by tools/train.py with this config'
        )
    model, saved = unwrapped(runner.model), loaded['state_dict']
    try:
        state_dict = _by_names_of(model, saved)
        load_strictly(model, state_dict, f"checkpoint '{path}'")
    except InputError as error:
        raise InputError(
            f'{error}: use a checkpoint of the whole model, '
            'written by tools/train.py with this config'
        ) from error
    if state_dict.keys() != saved.keys():
        runner._has_loaded = True
        runner.logger.info(f"Loaded '{path}', wrapper prefixes removed")


def _by_names_of(model: nn.Module, saved: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a file's tensors to the model's keys; both may have wrappers."""
    expected = model.state_dict()
    if saved.keys() == expected.keys():
        return saved
    tensors, names = bare_names(saved)[0], bare_names(expected)[1]
    if tensors.keys() != names.keys():
        return saved  # errors then name the file's keys
    return {names[name]: value for name, value in tensors.items()}

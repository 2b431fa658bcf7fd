"""Initial weights of a model from a file of any known layout."""

from collections import Counter
from typing import NamedTuple

from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models import BaseClassifier, BaseSelfSupervisor
from torch import Tensor, nn

from mmdisco.errors import InputError
from .checkpoint import check_finite, check_fit, convert_loaded, misfits
from .convert import Conversion
from .safe_load import safe_load, sha256_of
from .settings import check_settings
from .wrappers import encoder_source

# reasons of left-out entries that are not weights
_NO_WEIGHTS = ('no tensors', 'entries beside the weights')


class InitialWeights(NamedTuple):
    """Initial weights of a model, read from a file."""

    tensors: dict[str, Tensor]  # by the model's names
    report: str  # one line: tensors loaded, left out and as initialised


def read_anywhere(path: str) -> dict:
    """Read a local file safely, or a URL with mmengine.

    Args:
        path (str): A file, or a URL, e.g. ``https://`` or ``torchvision://``.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If it is not a checkpoint, or can't be downloaded.
    """
    if '://' not in path:
        return safe_load(path)
    try:
        return CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            f"'{path}' can't be downloaded ({error}): download it manually, "
            'and pass the file'
        ) from error


def initial_weights(
    model: nn.Module, path: str, prefix: str | None = None, parts: bool = False
) -> InitialWeights:
    """Select a model's initial weights from a file, completely or not at all.

    - Checkpoint of the same config: all tensors.
    - Student in any layout of :mod:`.families`: the backbone, and the
      projection head if file and model have one. The momentum encoder gets the
      student's weights. Queues, predictors and prototypes keep their
      initialisation; the report lists them.
    - Another network, e.g. a detector: the whole network or, from a file with
      only a backbone, the backbone.
    - Backbone: all of it.

    Args:
        model (nn.Module): An algorithm, a classifier, a detector or a
            backbone. It is not changed.
        path (str): The file, or a URL.
        prefix (str, optional): Use the tensors below this prefix; they must be
            all of the model's. Defaults to None.
        parts (bool): Whether parts of the file that a backbone does not have,
            e.g. the last stage of a ResNet, may be left out; the report lists
            them. Defaults to False.

    Raises:
        InputError: If a tensor of the file is unknown, a part of the model is
            incomplete in the file, shapes differ, or a value is not finite.
    """
    name = f"'{path}'"
    loaded = read_anywhere(path)
    expected, content = model.state_dict(), _content(loaded)
    check_finite(content, name)
    below = _below(content, prefix, name)
    student = getattr(model, 'ssl', model)
    backbone = getattr(student, 'backbone', student)
    note = ''
    if backbone is model and parts:
        below, note = _parts_of(expected, below)
    whole = below.keys() == expected.keys() and not misfits(below, expected)
    if prefix is not None and not whole:
        check_fit(expected, below, f"{name}, below '{prefix}',")
    try:
        conversion = convert_loaded(loaded, path)
    except InputError:
        if not whole:
            if below.keys() & expected.keys():
                check_fit(expected, below, name)
            raise
        return InitialWeights(below, _loaded(path, len(expected), 'all') + note)
    check_settings(conversion, backbone, name, 'model.backbone')
    if whole:
        return InitialWeights(below, _loaded(path, len(expected), 'all') + note)
    if backbone is model:
        weights = conversion.part('backbone')
        if parts:
            weights, note = _parts_of(expected, weights)
        check_fit(expected, weights, name)
        report = _loaded(path, len(expected), 'the backbone') + note
        return InitialWeights(weights, report)
    only_backbone = {key.split('.')[0] for key in conversion.state_dict} == {
        'backbone'
    } and 'not the student' not in conversion.left_out
    if not only_backbone and not isinstance(
        student, (BaseSelfSupervisor, BaseClassifier)
    ):
        check_fit(expected, below, name)
    return _of_student(model, student, conversion, path)


def _content(loaded: dict) -> dict[str, Tensor]:
    if not isinstance(loaded, dict):
        return {}
    inner = next(
        (
            loaded[group]
            for group in ('state_dict', 'model')
            if isinstance(loaded.get(group), dict)
        ),
        loaded,
    )
    return {
        key: value
        for key, value in inner.items()
        if isinstance(value, Tensor) and isinstance(key, str)
    }


def _below(
    content: dict[str, Tensor], prefix: str | None, name: str
) -> dict[str, Tensor]:
    if prefix is None:
        return content
    prefix = f'{prefix.rstrip(".")}.'
    below = {
        key.removeprefix(prefix): value
        for key, value in content.items()
        if key.startswith(prefix)
    }
    if not below:
        tops = list(dict.fromkeys(key.split('.')[0] for key in content))
        raise InputError(
            f"{name} has nothing below the prefix '{prefix}': "
            f'its names begin with {", ".join(tops[:5])}'
        )
    return below


def _parts_of(
    expected: dict[str, Tensor], weights: dict[str, Tensor]
) -> tuple[dict[str, Tensor], str]:
    """Leave out whole parts that a backbone does not have.

    For example the last stage of a ResNet: the backbone of a C4 detector has
    three. Blocks of an existing stage are not left out.
    """
    parts = {key.split('.')[0] for key in expected}
    kept = {key: value for key, value in weights.items() if key.split('.')[0] in parts}
    left = [key for key in weights if key not in kept]
    return kept, f'; left out: {_counts(left)}' if left and kept else ''


def _of_student(
    model: nn.Module, student: nn.Module, conversion: Conversion, path: str
) -> InitialWeights:
    name = f"'{path}'"
    expected = model.state_dict()
    scope = '' if student is model else 'ssl.'
    tensors: dict[str, Tensor] = {}
    left_out: dict[str, list[str]] = dict(conversion.left_out)
    taken: list[str] = []
    for part in ('backbone', 'neck'):
        weights = conversion.part(part)
        module = getattr(student, part, None)
        target = {} if module is None else module.state_dict()
        if part == 'neck' and not target:
            left_out.update({'projection head': [*weights]} if weights else {})
            continue
        if part == 'neck' and not weights:
            continue
        try:
            check_fit(target, weights, f'the {part} of {name}')
        except InputError as error:
            if part == 'backbone':
                raise
            raise InputError(
                f'{error}: to load only the backbone, extract it with '
                'tools/extract_backbone.py'
            ) from error
        taken.append(part)
        tensors.update(
            (f'{scope}{part}.{key}', value) for key, value in weights.items()
        )
    follow = {
        key: tensors[source]
        for key, source in ((key, encoder_source(key)) for key in expected)
        if source in tensors
    }
    line = _loaded(path, len(tensors), ' and '.join(taken))
    if follow:
        line += f'; {len(follow)} of the momentum encoder follow'
    left = [
        f'{len(keys)} {why}' for why, keys in left_out.items() if why not in _NO_WEIGHTS
    ]
    if left:
        line += f'; left out: {", ".join(left)}'
    initial = [key for key in expected if key not in tensors and key not in follow]
    if initial:
        line += f'; as initialised: {_counts(initial)}'
    return InitialWeights({**tensors, **follow}, line)


def _loaded(path: str, count: int, what: str) -> str:
    digest = '' if '://' in path else f' (sha256 {sha256_of(path)[:12]})'
    return f"loaded {count}/{count} tensors of {what} from '{path}'{digest}"


def _counts(keys: list[str]) -> str:
    """Count tensors by module."""
    modules = Counter(
        '.'.join(key.split('.')[: 2 if key.startswith('ssl.') else 1]) for key in keys
    )
    return ', '.join(f'{top} ({count})' for top, count in modules.items())

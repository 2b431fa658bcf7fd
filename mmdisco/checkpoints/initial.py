from collections import Counter
from typing import Any, NamedTuple

from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models import BaseClassifier, BaseSelfSupervisor
from torch import Tensor, nn

from mmdisco.errors import InputError
from .checkpoint import check_finite, check_fit, explain, misfits
from .convert import Conversion
from .safe_load import safe_load, sha256_of
from .settings import check_settings
from .wrappers import encoder_source

# of what a file holds beside weights
_NO_WEIGHTS = ('no tensors', 'entries beside the weights')


class InitialWeights(NamedTuple):
    """The weights that a model begins with, out of a file."""

    tensors: dict[str, Tensor]  # by the model's names
    report: str  # one line: what was loaded, left out, and is as initialised


def read_anywhere(path: str) -> dict:
    """Read a local file safely, or what mmengine finds under a URL.

    Args:
        path (str): A file, or a URL as ``https://`` or ``torchvision://``.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If it is not a checkpoint, or can't be downloaded.
    """
    if '://' not in path:
        return safe_load(path)
    try:
        return CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            f"'{path}' can't be downloaded ({error}): download it, and give the file"
        ) from error


def initial_weights(
    model: nn.Module, path: str, prefix: str | None = None, parts: bool = False
) -> InitialWeights:
    """Choose from a file what a model begins with; all of it, or raise.

    - The whole model of the same config: every tensor.
    - A student, of any layout of :mod:`.families`: the backbone, and the
      projection head where file and model have one. A momentum encoder
      follows its student. Queues, predictors and prototypes begin as they are
      initialised, and the report names them.
    - Of a network of another kind, as a detector: the whole or, from a file
      of a backbone alone, the backbone.
    - Of a backbone: all of it.

    Args:
        model (nn.Module): An algorithm, a classifier, a detector, or a
            backbone. It is not changed.
        path (str): The file, or a URL.
        prefix (str, optional): Take the tensors below this prefix of the
            file's names, which have to be all of the model's. Defaults to
            None.
        parts (bool): Whether whole parts of the file that a backbone does not
            have, as the last stage of a ResNet, may be left out; the report
            names them. Defaults to False.

    Raises:
        InputError: If a tensor of the file has no place and no family says
            why, a part of the model is not in the file as a whole, shapes
            differ, or a value is not finite.
    """
    name = f"'{path}'"
    loaded = read_anywhere(path)
    own, content = model.state_dict(), _content(loaded)
    check_finite(content, name)
    below = _below(content, prefix, name)
    student = getattr(model, 'ssl', model)
    backbone = getattr(student, 'backbone', student)
    beside = ''
    if backbone is model and parts:
        below, beside = _parts_of(own, below)
    whole = below.keys() == own.keys() and not misfits(below, own)
    if prefix is not None and not whole:
        check_fit(own, below, f"{name}, below '{prefix}',")
    try:
        conversion = explain(loaded, path)
    except InputError:
        if not whole:
            if below.keys() & own.keys():
                check_fit(own, below, name)
            raise
        return InitialWeights(below, _loaded(path, len(own), 'all') + beside)
    check_settings(conversion, backbone, name, 'model.backbone')
    if whole:
        return InitialWeights(below, _loaded(path, len(own), 'all') + beside)
    if backbone is model:
        weights = conversion.part('backbone')
        if parts:
            weights, beside = _parts_of(own, weights)
        check_fit(own, weights, name)
        return InitialWeights(weights, _loaded(path, len(own), 'the backbone') + beside)
    alone = {key.split('.')[0] for key in conversion.state_dict} == {
        'backbone'
    } and 'not the student' not in conversion.left_out
    if not alone and not isinstance(student, (BaseSelfSupervisor, BaseClassifier)):
        check_fit(own, below, name)
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
    own: dict[str, Tensor], weights: dict[str, Tensor]
) -> tuple[dict[str, Tensor], str]:
    """Leave out whole parts that a backbone does not have.

    As the last stage of a ResNet, of which a C4 detector's backbone has
    three. Blocks of a stage that it has are not left out.
    """
    parts = {key.split('.')[0] for key in own}
    kept = {key: value for key, value in weights.items() if key.split('.')[0] in parts}
    left = [key for key in weights if key not in kept]
    return kept, f'; left out: {_counts(left)}' if left and kept else ''


def _of_student(
    model: nn.Module, student: nn.Module, conversion: Conversion, path: str
) -> InitialWeights:
    name = f"'{path}'"
    own = model.state_dict()
    scope = '' if student is model else 'ssl.'
    tensors: dict[str, Tensor] = {}
    taken, left_out = [], dict(conversion.left_out)
    for part in ('backbone', 'neck'):
        weights = conversion.part(part)
        module: Any = getattr(student, part, None)
        if part == 'neck' and (module is None or not module.state_dict()):
            left_out.update({'projection head': list(weights)} if weights else {})
            continue
        if part == 'neck' and not weights:
            continue
        try:
            check_fit(module.state_dict(), weights, f'the {part} of {name}')
        except InputError as error:
            if part == 'backbone':
                raise
            raise InputError(
                f'{error}: to begin with the backbone alone, take it out by '
                'tools/extract_backbone.py, and load that file'
            ) from error
        taken.append(part)
        tensors.update(
            (f'{scope}{part}.{key}', value) for key, value in weights.items()
        )
    follow = {
        key: tensors[source]
        for key, source in ((key, encoder_source(key)) for key in own)
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
    initial = [key for key in own if key not in tensors and key not in follow]
    if initial:
        line += f'; as initialised: {_counts(initial)}'
    return InitialWeights({**tensors, **follow}, line)


def _loaded(path: str, count: int, what: str) -> str:
    digest = '' if '://' in path else f' (sha256 {sha256_of(path)[:12]})'
    return f"loaded {count}/{count} tensors of {what} from '{path}'{digest}"


def _counts(keys: list[str]) -> str:
    """Tensors by the modules that they are of."""
    modules = Counter(
        '.'.join(key.split('.')[: 2 if key.startswith('ssl.') else 1]) for key in keys
    )
    return ', '.join(f'{top} ({count})' for top, count in modules.items())

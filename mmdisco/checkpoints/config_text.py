"""Read a network from the text of a config, without running it."""

import ast
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from mmdisco.errors import InputError


class Parts(NamedTuple):
    """Parts of the model in a config text."""

    algorithm: str | None
    backbone: dict
    neck: dict | None


def read_parts(text: str) -> Parts:
    """Read backbone and neck of ``model``, or of ``model.ssl`` if it exists.

    mmengine saves the config in each checkpoint as
    ``model = dict(type='MoCo', backbone=dict(...))``. Only calls of ``dict``
    and plain values are read, and only the needed ones: reading the text of an
    untrusted file is as safe as reading its weights.

    Args:
        text (str): The config.

    Raises:
        InputError: If it has no backbone, or the backbone contains more than
            plain values.
    """
    model = _assigned(text, 'model')
    algorithm = _member(model, 'type')
    host = _member(model, 'ssl') or model
    backbone, neck = _member(host, 'backbone'), _member(host, 'neck')
    if backbone is None:
        raise InputError('its config has neither model.backbone nor model.ssl.backbone')
    return Parts(
        None if algorithm is None else _value(algorithm),
        unpooled(_value(backbone)),
        None if neck is None else _value(neck),
    )


class Training(NamedTuple):
    """How a student was trained, as its config states it."""

    method: str  # classes of the model, its algorithm and its losses
    teacher: str | None  # name or class of the teacher's network
    teacher_file: str | None  # path of its weights
    teacher_url: str | None  # their address


def read_training(text: str) -> Training:
    """Read the method and the teacher of a config.

    Args:
        text (str): The config, see :func:`read_parts`.
    """
    model = _assigned(text, 'model')
    losses = _member(model, 'distill')
    listed = losses.elts if isinstance(losses, (ast.List, ast.Tuple)) else [losses]
    parts = (model, _member(model, 'ssl'), *listed)
    kinds = [_plain(_member(part, 'type')) for part in parts]
    teacher = _member(model, 'teacher')
    network = _member(teacher, 'backbone')
    words = (_plain(_member(network, key)) for key in ('type', 'name', 'arch', 'depth'))
    return Training(
        ', '.join(str(kind) for kind in kinds if kind),
        ' '.join(str(word) for word in words if word) or None,
        _plain(_member(teacher, 'checkpoint')),
        _plain(_member(teacher, 'url')),
    )


def _plain(node: ast.AST | None) -> Any:
    """Value of a string or a number, None for anything else."""
    return node.value if isinstance(node, ast.Constant) else None


def unpooled(backbone: Any) -> Any:
    """Config of the network itself, if it is one of ``PooledBackbone``."""
    while isinstance(backbone, Mapping) and backbone.get('type') == 'PooledBackbone':
        backbone = backbone.get('backbone')
    return backbone


def read_normalisation(text: str) -> tuple[list, list] | None:
    """Read mean and std of ``data_preprocessor``, for pixels from 0 to 255.

    Args:
        text (str): The config, see :func:`read_parts`.

    Returns:
        tuple[list, list] or None: Mean and std of three channels; None if the
        config does not set them.
    """
    preprocessor = _assigned(text, 'data_preprocessor') or _member(
        _assigned(text, 'model'), 'data_preprocessor'
    )
    mean, std = _member(preprocessor, 'mean'), _member(preprocessor, 'std')
    return (_value(mean), _value(std)) if mean and std else None


def normalisation_of(meta: Mapping) -> tuple[list, list] | None:
    """Mean and std of the images in the training of a checkpoint.

    Args:
        meta (dict): Metadata of the checkpoint: ``cfg``, the text of its
            config, or ``normalisation`` in extracted, published and converted
            files.

    Returns:
        tuple[list, list] or None: Mean and std of three channels, for pixels
        from 0 to 255; None if not recorded.

    Raises:
        InputError: If the values are not plain numbers.
    """
    if isinstance(meta.get('cfg'), str):
        return read_normalisation(meta['cfg'])
    kept = meta.get('normalisation')
    if kept is None:
        return None
    if not (
        isinstance(kept, (list, tuple))
        and len(kept) == 2
        and all(
            isinstance(part, (list, tuple)) and len(part) in (1, 3) for part in kept
        )
        and all(
            isinstance(value, (int, float)) and math.isfinite(value)
            for part in kept
            for value in part
        )
        and min(kept[1]) > 0
    ):
        raise InputError(
            f'its normalisation is {kept}, should be mean and '
            'std of RGB: write the file again'
        )
    return [*kept[0]], [*kept[1]]


def kept_normalisation(meta: Mapping) -> dict:
    """Metadata with the normalisation of a checkpoint, for files made from it.

    Args:
        meta (dict): Metadata of the checkpoint.

    Returns:
        dict: ``normalisation``; empty if not recorded.
    """
    try:
        normalisation = normalisation_of(meta)
    except InputError:  # more than plain values
        normalisation = None
    if normalisation is None:
        return {}
    return dict(normalisation=[*map(list, normalisation)])


def _assigned(text: str, name: str) -> ast.AST | None:
    """Last value assigned to a variable of the config, if any."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise InputError('its config is not valid Python') from error
    value = None
    for line in body:
        if isinstance(line, ast.Assign) and any(
            isinstance(to, ast.Name) and to.id == name for to in line.targets
        ):
            value = line.value
    return value


def _member(node: ast.AST | None, name: str) -> ast.AST | None:
    """Value of a key of ``dict(...)`` or ``{...}``, if any."""
    if isinstance(node, ast.Call):
        return next((k.value for k in node.keywords if k.arg == name), None)
    if isinstance(node, ast.Dict):
        return next(
            (
                value
                for key, value in zip(node.keys, node.values)
                if isinstance(key, ast.Constant) and key.value == name
            ),
            None,
        )
    return None


def _value(node: ast.AST) -> Any:
    """Evaluate literals and ``dict`` with keywords."""
    if isinstance(node, ast.Call):
        named = all(k.arg is not None for k in node.keywords)
        if getattr(node.func, 'id', None) == 'dict' and not node.args and named:
            return {k.arg: _value(k.value) for k in node.keywords}
    elif isinstance(node, ast.Dict) and None not in node.keys:
        return {
            _value(k): _value(v)
            for k, v in zip(node.keys, node.values)
            if k is not None
        }
    elif isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    elif isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    else:
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError):
            pass
    raise InputError(
        f"its config has more than plain values: '{ast.unparse(node)[:60]}'"
    )

"""Networks out of the text of a config, of which nothing is run."""

import ast
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from mmdisco.errors import InputError


class Parts(NamedTuple):
    """What the text says of the model."""

    algorithm: str | None
    backbone: dict
    neck: dict | None


def read_parts(text: str) -> Parts:
    """Read backbone and neck of ``model``, or of ``model.ssl`` if it has one.

    mmengine writes a config into each checkpoint as
    ``model = dict(type='MoCo', backbone=dict(...))``. Calls of ``dict`` and
    plain values are read, and only where they are needed: the text of a
    file of unknown origin is as safe as its weights.

    Args:
        text (str): The config.

    Raises:
        InputError: If it holds no backbone, or one that needs more than that.
    """
    model = _assigned(text, 'model')
    algorithm = _member(model, 'type')
    host = _member(model, 'ssl') or model
    backbone, neck = _member(host, 'backbone'), _member(host, 'neck')
    if backbone is None:
        raise InputError('its config has neither model.backbone nor model.ssl.backbone')
    return Parts(
        None if algorithm is None else _value(algorithm),
        _value(backbone),
        None if neck is None else _value(neck),
    )


def read_normalisation(text: str) -> tuple[list, list] | None:
    """Read means and deviations of ``data_preprocessor``, 0 to 255.

    Args:
        text (str): The config, as of :func:`read_parts`.

    Returns:
        tuple[list, list] or None: Three of each; None if it does not tell.
    """
    found = _assigned(text, 'data_preprocessor') or _member(
        _assigned(text, 'model'), 'data_preprocessor'
    )
    mean, std = _member(found, 'mean'), _member(found, 'std')
    return (_value(mean), _value(std)) if mean and std else None


def normalisation_of(meta: Mapping) -> tuple[list, list] | None:
    """Means and deviations of the images that weights were learned from.

    Args:
        meta (dict): What a checkpoint says of itself: ``cfg``, the text of its
            config, or ``normalisation``, which extracted, published and
            converted files keep of it.

    Returns:
        tuple[list, list] or None: Three of each, of 0 to 255; None if it says
        nothing.

    Raises:
        InputError: If they are not plain numbers.
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
            f'its normalisation is {kept}, not means and '
            'deviations of RGB: write the file anew'
        )
    return [*kept[0]], [*kept[1]]


def kept_normalisation(meta: Mapping) -> dict:
    """What a file made of a checkpoint keeps of its normalisation.

    Args:
        meta (dict): Of the checkpoint.

    Returns:
        dict: ``normalisation``, or nothing if the checkpoint does not say it.
    """
    try:
        found = normalisation_of(meta)
    except InputError:  # of more than plain values
        found = None
    return {} if found is None else dict(normalisation=[*map(list, found)])


def _assigned(text: str, name: str) -> ast.AST | None:
    """What a variable of the config is set to last, if anything."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise InputError('its config is no Python that can be read') from error
    found = None
    for line in body:
        if isinstance(line, ast.Assign) and any(
            isinstance(to, ast.Name) and to.id == name for to in line.targets
        ):
            found = line.value
    return found


def _member(node: ast.AST | None, name: str) -> ast.AST | None:
    """What stands at a key of ``dict(...)`` or ``{...}``, if anything."""
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
    """The value of literals, and of ``dict`` with keywords."""
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
        f"its config holds more than plain values: '{ast.unparse(node)[:60]}'"
    )

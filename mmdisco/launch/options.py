"""Parsing of --cfg-options."""

import ast
import re
from typing import Any

from mmengine.config import DictAction

from mmdisco.errors import InputError


class ConfigOptions(DictAction):
    """argparse action for ``--cfg-options`` that extends mmengine's.

    It also parses dicts, as ``dict(type='A', x=1)`` or ``{'type': 'A'}``, within
    lists, too, and keeps spaces within a value, which mmengine's removes
    (``data_root='my photos'``).
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Parse ``key=value`` words into the namespace.

        Raises:
            InputError: If a word does not have this form.
        """
        options = dict(getattr(namespace, self.dest, None) or {})
        for word in values:
            key, equals, text = word.partition('=')
            if not key.strip() or not equals:
                raise InputError(
                    f"--cfg-options needs key=value, got '{word}': no spaces "
                    'around =, quotes around a value with spaces'
                )
            options[key] = _parse(key, text.strip())
        setattr(namespace, self.dest, options)


def _parse(key: str, text: str) -> Any:
    if text[:1] in ('[', '(', '{') or text.startswith('dict('):
        if re.search(r'dict\(|[{\'"]', text):  # mmengine cannot parse it
            return _literal(key, text)
    elif ',' not in text:
        return DictAction._parse_int_float_bool(text.strip('\'"'))
    elif text[0] in '\'"' and text[0] == text[-1]:
        return text[1:-1]
    try:
        return DictAction._parse_iterable(text)
    except (AssertionError, RecursionError) as error:
        raise _wrong(key, text) from error


def _literal(key: str, text: str) -> Any:
    try:
        return _value(ast.parse(text, mode='eval').body)
    except (SyntaxError, ValueError) as error:
        raise _wrong(key, text) from error


def _value(node: ast.expr) -> Any:
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_value(part) for part in node.elts]
        return tuple(values) if isinstance(node, ast.Tuple) else values
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [key for key in node.keys if key is not None]
        return {_value(k): _value(v) for k, v in zip(keys, node.values)}
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == 'dict'
        and not node.args
    ):
        return {word.arg: _value(word.value) for word in node.keywords}
    if isinstance(node, ast.Name):  # a word without quotes
        return DictAction._parse_int_float_bool(node.id)
    return ast.literal_eval(node)


def _wrong(key: str, text: str) -> InputError:
    return InputError(
        f"--cfg-options {key}: can't parse '{text}': write lists as \"[a,b]\", "
        'dicts as "dict(type=\'A\',x=1)" or one option for each of their '
        'keys, a.b=1 a.c=2'
    )

import copy
from difflib import get_close_matches
from fnmatch import filter as matching
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from modelindex.load_model_index import load
from modelindex.models.Model import Model

from mmdisco.errors import InputError
from mmdisco.paths import project_root


class Entry(NamedTuple):
    """What the index tells of a model.

    Args:
        name (str): As users type it.
        config (str): Absolute path.
        urls (tuple[str]): Where its file is: first the main address, then
            mirrors; a path if it comes with this package.
        sha256 (str, optional): Of that file, None if it is not known.
        file (str, optional): Name under which it is stored, None without.
        metadata (dict): Source, licence, sizes and numbers, each with its
            provenance.
    """

    name: str
    config: str
    urls: tuple[str, ...]
    sha256: str | None
    file: str | None
    metadata: dict


@cache
def _models() -> dict[str, Model]:
    """Models of ``model-index.yml`` by name, with what their collection has."""
    index = load(str(project_root() / 'model-index.yml'))
    index.build_models_with_collections()
    return {model.name: model.full_model for model in index.models}


def list_models(pattern: str = '*') -> list[str]:
    """Names of the index, sorted.

    Args:
        pattern (str): As of a shell, e.g. 'r50_*'. Defaults to '*'.
    """
    return sorted(matching(_models(), pattern))


def find(name: str) -> Entry:
    """What the index tells of a model.

    Args:
        name (str): One of :func:`list_models`.

    Raises:
        ValueError: If it is not in the index; names the nearest that are.
    """
    if name not in _models():
        near = ', '.join(get_close_matches(name, _models(), n=3))
        raise InputError(
            f"no model '{name}' in the index; "
            + (f'nearest: {near}; ' if near else '')
            + 'mmdisco.zoo.list_models() names all'
        )
    model = _models()[name]
    metadata = copy.deepcopy(model.metadata.data)
    root = project_root()
    urls = [model.weights, *metadata.get('Mirrors', [])]
    urls = tuple(url if '://' in url else str(root / url) for url in urls if url)
    file = PurePosixPath(unquote(urlsplit(urls[0]).path)).name if urls else None
    return Entry(
        name, str(root / model.config), urls, metadata.get('SHA256'), file, metadata
    )

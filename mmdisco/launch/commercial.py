"""Check of the teachers' licences for commercial use."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdisco.checkpoints import (
    licence_of,
    licence_of_sha256,
    licence_of_url,
    sha256_of,
)
from mmdisco.datasets.stored import read_header
from mmdisco.errors import InputError

_TEACHERS = ('FrozenTeacher', 'FrozenClassifier', 'StoredTeacher')


def _teachers(config: Any) -> Iterator[Mapping]:
    """All configs of teachers inside a config."""
    if isinstance(config, Mapping):
        if str(config.get('type')).split('.')[-1] in _TEACHERS:
            yield config
        config = tuple(config.values())
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _teachers(part)


def check_commercial(cfg: Config | Mapping) -> list[str]:
    """Refuse teachers with a licence that forbids commercial use.

    A licence is that of the file's published name or sha256; that of its address
    in the config also forbids. A file under another name has no known licence.

    Args:
        cfg (Config): Config of a training, with ``model``.

    Returns:
        list[str]: A line for the log for each teacher, which says so where the
        licence is not known.

    Raises:
        InputError: If a licence forbids commercial use.
    """
    notes = []
    for teacher in _teachers(dict(cfg.get('model') or {})):
        path, url = teacher.get('checkpoint'), teacher.get('url')
        sha256 = None
        if 'store' in teacher:
            stored = read_header(teacher['store'])['teacher']
            path, url, sha256 = stored['file'], stored['url'], stored['sha256']
        if path is None:
            continue
        licence = licence_of(path)
        if licence is None and sha256 is None and Path(path).is_file():
            sha256 = sha256_of(path)
        if licence is None and sha256 is not None:
            licence = licence_of_sha256(sha256)
        for each, where in (
            (licence, f"'{path}'"),
            (licence_of_url(url) if url else None, f"'{url}'"),
        ):
            if each is not None and each.commercial is False:
                raise InputError(
                    f'--commercial: {each}, for the teacher {where}: use another one '
                    '(docs/zoo.md lists those that allow it)'
                )
        if licence is None:
            notes.append(
                f"--commercial: licence not known: '{path}' is neither a file of the "
                'index nor of timm; check yourself that it allows commercial use'
            )
        elif licence.commercial is None:
            notes.append(
                f"--commercial: licence not known: '{path}': {licence}; check yourself "
                'that it allows commercial use'
            )
        else:
            notes.append(f"--commercial: '{path}': {licence}")
    return notes

"""Licences of the teachers' published files."""

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import yaml

from mmdisco.paths import configs_root


class Licence(NamedTuple):
    """Licence of a published file.

    Args:
        name (str): Name of the licence, e.g. 'Apache-2.0'.
        commercial (bool, optional): Whether it allows commercial use. None if no
            licence is stated for the file.
        note (str): What the licence covers, if that is not the file.
    """

    name: str
    commercial: bool | None
    note: str = ''

    def __str__(self) -> str:
        """Describe it in a log."""
        uses = {
            True: 'commercial use allowed',
            False: 'no commercial use',
            None: 'commercial use not stated',
        }
        note = f' ({self.note})' if self.note else ''
        return f'licence {self.name}{note}, {uses[self.commercial]}'


# licences by timm's names: name, commercial use; None where the text was not read
TIMM_LICENCES: dict[str, tuple[str, bool | None]] = {
    'apache-2.0': ('Apache-2.0', True),
    'mit': ('MIT', True),
    'bsd-3-clause': ('BSD-3-Clause', True),
    'cc-by-4.0': ('CC BY 4.0', True),
    'cc-by-nc-4.0': ('CC BY-NC 4.0', False),
    'dinov3-license': ('DINOv3 License', True),
    'fair-noncommercial-research-license': (
        'FAIR Noncommercial Research License',
        False,
    ),
    'apple-amlr': ('Apple AMLR', False),
}


class _Files(NamedTuple):
    """What the teachers' metafile says of files."""

    names: dict[str, str]  # file name -> name of the teacher
    licences: dict[str, Licence]  # name of the teacher -> licence
    urls: dict[str, str]  # address -> name of the teacher
    sha256: dict[str, str]  # sha256 -> name of the teacher


def file_of(url: str) -> str:
    """File name in an address."""
    return PurePosixPath(unquote(urlsplit(url).path)).name


@cache
def _files() -> _Files:
    """Files of the teachers' metafile."""
    path = configs_root() / '_base_' / 'teachers' / 'metafile.yml'
    files = _Files({}, {}, {}, {})
    for model in yaml.safe_load(path.read_text())['Models']:
        name, url, data = model['Name'], model['Weights'], model['Metadata']
        files.licences[name] = Licence(
            data['Licence'], data['Commercial Use'], data.get('Licence Note', '')
        )
        own = data.get('File') or file_of(url)
        files.names.update(dict.fromkeys((own, *data.get('Other Files', ())), name))
        files.urls.update(dict.fromkeys((url, *data.get('Mirrors', ())), name))
        if data['SHA256']:
            files.sha256[data['SHA256']] = name
    return files


@cache
def _timm_files() -> dict[str, Any]:
    """Configs of timm's published weights, by file name; empty without timm."""
    try:
        import timm
    except ImportError:
        return {}
    configs: dict[str, Any] = {}
    for name in timm.list_pretrained():
        config: Any = timm.get_pretrained_cfg(name)
        configs.setdefault(f'{name}.safetensors', config)
        if config.url:
            configs.setdefault(file_of(config.url), config)
    return configs


def teacher_of_file(path: str) -> str | None:
    """Name of the teacher of the index with a published file of this name.

    Args:
        path (str): The file.
    """
    return _files().names.get(Path(path).name)


def licence_of(path: str) -> Licence | None:
    """Find the licence of a teacher's file by its published name.

    Args:
        path (str): The file.

    Returns:
        Licence, optional: None if neither a teacher of the index nor timm has
        published a file of this name.
    """
    name = teacher_of_file(path)
    if name:
        return _files().licences[name]
    config = _timm_files().get(Path(path).name)
    if config is None or config.license in (None, '', 'unknown'):
        return None
    licence, commercial = TIMM_LICENCES.get(config.license, (config.license, None))
    return Licence(licence, commercial, 'as timm states it')


def licence_of_url(url: str) -> Licence | None:
    """Find the licence of a teacher's file by its address in the index.

    Args:
        url (str): The address, one of the index.
    """
    name = _files().urls.get(url)
    return _files().licences[name] if name else licence_of(file_of(url))


def licence_of_sha256(digest: str) -> Licence | None:
    """Find the licence of a teacher's file by its sha256, where it is published.

    Args:
        digest (str): Hexadecimal sha256.
    """
    name = _files().sha256.get(digest)
    return _files().licences[name] if name else None

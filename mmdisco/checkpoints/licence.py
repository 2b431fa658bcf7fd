"""Licences of the teachers' published files."""

from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple
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


@cache
def _licences() -> dict[str, Licence]:
    """Licences by file name, from the teachers' metafile."""
    path = configs_root() / '_base_' / 'teachers' / 'metafile.yml'
    licences: dict[str, Licence] = {}
    for model in yaml.safe_load(path.read_text())['Models']:
        data = model['Metadata']
        address = PurePosixPath(unquote(urlsplit(model['Weights']).path))
        licence = Licence(
            data['Licence'], data['Commercial Use'], data.get('Licence Note', '')
        )
        licences |= dict.fromkeys((address.name, *data.get('Other Files', ())), licence)
    return licences


def licence_of(path: str) -> Licence | None:
    """Find the licence of a teacher's file by its published name.

    Args:
        path (str): The file.

    Returns:
        Licence, optional: None if no teacher of the index has this file name.
    """
    return _licences().get(Path(path).name)

"""The networks that checkpoints are converted for, by the names of configs."""

from typing import NamedTuple

from mmengine.config import Config

from mmdisco.errors import InputError
from mmdisco.paths import configs_root

TEACHERS = (
    'r50',
    'r101',
    'r152',
    'r50w2',
    'swavr50',
    'selar50',
    'dcr50',
    'vits',
    'xcits',
)
STUDENTS = ('effb0', 'effb1', 'mbv3', 'r18', 'r34', 'vitt', 'xcitt')
ARCHS = TEACHERS + STUDENTS


class Arch(NamedTuple):
    """A network as a config builds it."""

    name: str
    backbone: dict
    neck: dict


def arch_config(name: str) -> Arch:
    """Backbone and neck of ``configs/_base_/{teachers,students}/{name}.py``.

    Raises:
        InputError: If the name is not known.
    """
    if name not in ARCHS:
        raise InputError(
            f"arch '{name}' is not known here, but one of {', '.join(ARCHS)}"
        )
    kind = 'teacher' if name in TEACHERS else 'student'
    path = configs_root() / '_base_' / f'{kind}s' / f'{name}.py'
    part = Config.fromfile(str(path)).to_dict()[kind]
    return Arch(name, part['backbone'], part['neck'])

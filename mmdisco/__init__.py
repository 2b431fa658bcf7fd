"""DisCo and related distillation methods as mmpretrain components.

Importing ``mmdisco`` registers everything in mmpretrain's registries; a config
only needs ``custom_imports = dict(imports=['mmdisco'])``.
"""

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from typing import Any

from .version import __version__

# Import name -> lowest version, and what to install. OpenMMLab's packages and the
# onedl forks have the same import names and both fit.
_FORKS = 'onedl-mmengine onedl-mmcv onedl-mmpretrain'
_REQUIRED = {
    'mmengine': ('0.10.3', _FORKS),
    'torch': ('2.4.0', 'torch torchvision'),
    'torchvision': ('0.19.0', 'torch torchvision'),
    'mmcv': ('2.0.0', _FORKS),
    'mmpretrain': ('1.2.0', _FORKS),
}


def _check_versions() -> None:
    """Check the required packages.

    Raises:
        ImportError: If a package is missing, rejects another or has an unsupported
            version.
    """
    for name, (low, packages) in _REQUIRED.items():
        how = f"run 'pip install -U {packages}'"
        try:
            version = import_module(f'{name}.version').__version__
            from mmengine.utils import digit_version
        except (ImportError, AssertionError) as error:  # the latter by mmpretrain
            last = str(error).strip().split('\n')[-1]
            raise ImportError(f'mmdisco needs {name} ({last}): {how}') from error
        if digit_version(version) < digit_version(low):
            raise ImportError(f'mmdisco needs {name} >={low}, found {version}: {how}')


@contextmanager
def _without_mmdet() -> Iterator[None]:
    """Keep mmpretrain from importing mmdet, which it does for a single class.

    This saves a second, and mmdisco.detection, which provides mmcv's ops and gives
    mmpretrain its class, can come before mmdet.
    """
    hide = 'mmdet' not in sys.modules
    if hide:
        sys.modules['mmdet'] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hide:
            del sys.modules['mmdet']


@contextmanager
def _without_a_line(line: str) -> Iterator[None]:
    """Leave out a line that an import prints about an optional package."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        rest = printed.getvalue().replace(f'{line}\n', '')
        print(rest, end='')


_check_versions()

with (
    _without_a_line('Could not import OneDL'),
    _without_mmdet(),
    warnings.catch_warnings(),
):
    # mmcv.cnn about a class that needs compiled ops, and no model here needs
    warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention')
    from . import datasets, engine, models  # noqa: F401
from .errors import InputError, MissingFileError  # noqa: E402
from .zoo import get_model, list_models  # noqa: E402

__all__ = [
    'InputError',
    'MissingFileError',
    '__version__',
    'distill',
    'get_model',
    'list_models',
    'pretrain',
]


def __getattr__(name: str) -> Any:
    """Import the training of :mod:`mmdisco.apis` when it is used."""
    if name in ('distill', 'pretrain'):
        return getattr(import_module('mmdisco.apis'), name)
    raise AttributeError(f"module 'mmdisco' has no attribute '{name}'")

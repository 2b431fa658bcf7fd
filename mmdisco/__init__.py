"""DisCo and what it is compared with, as parts for mmpretrain.

Importing ``mmdisco`` registers everything in mmpretrain's registries, so a
config needs no more than ``custom_imports = dict(imports=['mmdisco'])``.
"""

from importlib import import_module

from .version import __version__

# Import name -> (lowest, first unsupported) version. The packages of the same
# import names from OpenMMLab and from the onedl forks both satisfy these.
_REQUIRED = {
    'mmengine': ('0.10.3', '1.0.0'),
    'mmcv': ('2.0.0', '2.4.0'),
    'mmpretrain': ('1.2.0', '2.0.0'),
}


def _check_versions() -> None:
    """Say in one line what is missing or does not fit.

    Raises:
        ImportError: If a required package is absent or of another version.
    """
    how = "install it with 'pip install -r requirements/mminstall.txt'"
    try:
        from mmengine.utils import digit_version
    except ImportError as error:
        raise ImportError(f'mmdisco needs mmengine: {how}') from error
    for name, (low, high) in _REQUIRED.items():
        try:
            found = import_module(f'{name}.version').__version__
        except ImportError as error:
            raise ImportError(f'mmdisco needs {name}: {how}') from error
        if not digit_version(low) <= digit_version(found) < digit_version(high):
            raise ImportError(
                f'mmdisco needs {name} >={low}, <{high}, found {found}: {how}'
            )


_check_versions()

from . import datasets, engine, models  # noqa: E402,F401
from .errors import InputError, MissingFileError  # noqa: E402
from .zoo import get_model, list_models  # noqa: E402

__all__ = ['InputError', 'MissingFileError', '__version__', 'get_model', 'list_models']

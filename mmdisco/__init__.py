"""DisCo and related distillation methods as mmpretrain components.

Importing ``mmdisco`` registers everything in mmpretrain's registries; a config
only needs ``custom_imports = dict(imports=['mmdisco'])``.
"""

from importlib import import_module

from .version import __version__

# Import name -> (lowest, first unsupported) version; satisfied by OpenMMLab's
# packages and by the onedl forks with the same import names.
_REQUIRED = {
    'mmengine': ('0.10.3', '1.0.0'),
    'mmcv': ('2.0.0', '2.4.0'),
    'mmpretrain': ('1.2.0', '2.0.0'),
}


def _check_versions() -> None:
    """Check the required packages.

    Raises:
        ImportError: If a package is missing or has an unsupported version.
    """
    how = "install it with 'pip install -r requirements/mminstall.txt'"
    try:
        from mmengine.utils import digit_version
    except ImportError as error:
        raise ImportError(f'mmdisco needs mmengine: {how}') from error
    for name, (low, high) in _REQUIRED.items():
        try:
            version = import_module(f'{name}.version').__version__
        except ImportError as error:
            raise ImportError(f'mmdisco needs {name}: {how}') from error
        if not digit_version(low) <= digit_version(version) < digit_version(high):
            raise ImportError(
                f'mmdisco needs {name} >={low}, <{high}, found {version}: {how}'
            )


_check_versions()

from . import datasets, engine, models  # noqa: E402,F401
from .errors import InputError, MissingFileError  # noqa: E402
from .zoo import get_model, list_models  # noqa: E402

__all__ = ['InputError', 'MissingFileError', '__version__', 'get_model', 'list_models']

"""Requirements of detection: mmdet and mmcv's compiled ops."""

from importlib import import_module
from importlib.util import find_spec

from mmengine.utils import digit_version

from mmdisco.errors import InputError

_HOW = (
    "for detection, run 'pip install -r requirements/detection.txt' and "
    "'bash tools/dev/install_mmcv_ops.sh python' (compiles mmcv's ops once)"
)
_MMDET = ('3.0.0', '4.0.0')


def check_detection() -> None:
    """Check that mmdet and mmcv's compiled ops are installed.

    Raises:
        InputError: If mmdet is missing, broken or of another version, or mmcv
            has no compiled ops.
    """
    if find_spec('mmcv._ext') is None:
        raise InputError(f'mmcv has no compiled ops: {_HOW}')
    if find_spec('mmdet') is None:
        raise InputError(f'mmdet is not installed: {_HOW}')
    try:
        version = import_module('mmdet').__version__
        import_module('mmcv.ops')
    except (ImportError, AssertionError) as error:
        last = str(error).strip().split('\n')[-1]
        raise InputError(f'mmdet does not work here ({last}): {_HOW}') from error
    low, high = _MMDET
    if not digit_version(low) <= digit_version(version) < digit_version(high):
        raise InputError(
            f'mmdisco needs mmdet >={low}, <{high}, found {version}: {_HOW}'
        )

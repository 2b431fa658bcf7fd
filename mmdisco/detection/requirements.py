"""Requirements of detection: mmdet, and ops for mmcv."""

import sys
from importlib import import_module, reload
from importlib.util import find_spec

from mmengine.utils import digit_version

from mmdisco.errors import InputError
from .ops import provide_ops

_HOW = (
    "for detection, run 'pip install onedl-mmdetection', or 'pip install mmdet' "
    "beside OpenMMLab's own mmcv"
)
_MMDET = '3.0.0'


def check_detection() -> None:
    """Check that mmdet works here; provide ops if mmcv has none compiled.

    Raises:
        InputError: If mmdet is missing, broken or too old, or if mmcv has no compiled
            ops and mmdet was imported before.
    """
    if find_spec('mmdet') is None:
        raise InputError(f'mmdet is not installed: {_HOW}')
    before = any(name.startswith('mmdet.models') for name in sys.modules)
    if provide_ops() and before:  # it has replaced the missing ops by errors
        del sys.modules['mmcv._ext']  # a second attempt fails, too
        raise InputError(
            'mmcv has no compiled ops, and mmdet was imported, perhaps by mmpretrain, '
            "before mmdisco could provide them: write 'import mmdisco.detection' first"
        )
    try:
        version = import_module('mmdet').__version__
        import_module('mmcv.ops')
    except (ImportError, AssertionError) as error:
        last = str(error).strip().split('\n')[-1]
        raise InputError(f'mmdet does not work here ({last}): {_HOW}') from error
    if digit_version(version) < digit_version(_MMDET):
        raise InputError(f'mmdisco needs mmdet >={_MMDET}, found {version}: {_HOW}')
    _restore_attention()
    hidden = import_module('mmpretrain.models.utils.res_layer_extra_norm')
    if hidden.ResLayerExtraNorm is None:  # mmdisco hid mmdet from it
        reload(hidden)


def _restore_attention() -> None:
    """Give mmcv.cnn the class that it takes from mmcv.ops, where mmdet 3.3 looks.

    Without ops mmcv.cnn does without, and it is imported before they are provided.
    """
    name = 'MultiScaleDeformableAttention'
    transformer = import_module('mmcv.cnn.bricks.transformer')
    if not hasattr(transformer, name):
        ops = import_module('mmcv.ops.multi_scale_deform_attn')
        setattr(transformer, name, getattr(ops, name))

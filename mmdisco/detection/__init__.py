"""Students as backbones of mmdet's detectors.

Importing this package needs mmdet. It registers the modules, hooks and metrics of
the detection configs, which list it in ``custom_imports``; no other config imports
it. Where mmcv has no compiled ops it provides those that the configs need
(:mod:`.ops`), so import it before mmdet, and before mmpretrain, which imports mmdet.
"""

from .requirements import check_detection

check_detection()

from mmdet.registry import MODELS, WEIGHT_INITIALIZERS  # noqa: E402

from mmdisco.models import (  # noqa: E402
    StrictPretrainedInit,
    TimmMaps,
    TorchvisionMaps,
)
from .backbones import (  # noqa: E402
    TrimmedEfficientNet,
    TrimmedMobileNetV3,
)
from .data_check_hook import DetectionDataCheckHook  # noqa: E402
from .metrics import ClassAPMetric, VOCAPMetric  # noqa: E402
from .precise_bn_hook import DetectionPreciseBNHook  # noqa: E402
from .res5_head import Res5Head  # noqa: E402
from .simple_feature_pyramid import SimpleFeaturePyramid  # noqa: E402
from .student_hook import DetectionStudentHook  # noqa: E402
from .switch_hook import ConcatPipelineSwitchHook, LearnDifficult  # noqa: E402
from .wanted import wanted_of  # noqa: E402

WEIGHT_INITIALIZERS.register_module(name='Pretrained', module=StrictPretrainedInit)
for kind in (TimmMaps, TorchvisionMaps):
    MODELS.register_module(module=kind)

__all__ = [
    'ClassAPMetric',
    'ConcatPipelineSwitchHook',
    'DetectionDataCheckHook',
    'DetectionPreciseBNHook',
    'DetectionStudentHook',
    'LearnDifficult',
    'Res5Head',
    'SimpleFeaturePyramid',
    'TrimmedEfficientNet',
    'TrimmedMobileNetV3',
    'VOCAPMetric',
    'wanted_of',
]

from .backbones import MobileNetV3Pooled
from .disco import DisCo
from .heads import InfoNCEHead
from .losses import DisCoLoss
from .preprocessors import BatchViews, DeviceViews
from .tap import StudentTap
from .teacher import FrozenTeacher
from .testbeds import ForeachEMA, LeanMoCo

__all__ = [
    'BatchViews', 'DeviceViews', 'DisCo', 'DisCoLoss', 'ForeachEMA',
    'FrozenTeacher', 'InfoNCEHead', 'LeanMoCo', 'MobileNetV3Pooled',
    'StudentTap'
]

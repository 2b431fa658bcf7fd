from .backbones import MobileNetV3Pooled
from .disco import DisCo
from .losses import DisCoLoss
from .preprocessors import BatchViews
from .tap import StudentTap
from .teacher import FrozenTeacher

__all__ = [
    'BatchViews', 'DisCo', 'DisCoLoss', 'FrozenTeacher', 'MobileNetV3Pooled',
    'StudentTap'
]

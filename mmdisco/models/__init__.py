from .backbones import MobileNetV3Pooled
from .disco import DisCo
from .heads import DINOHead, InfoNCEHead
from .losses import DINOOutputLoss, DisCoLoss
from .necks import DINONeck
from .preprocessors import BatchViews, DeviceViews
from .tap import StudentTap
from .teacher import FrozenTeacher
from .testbeds import DINO, ForeachEMA, GlobalSimCLR, LeanMoCo, QueueSwAVLoss

__all__ = [
    'BatchViews', 'DINO', 'DINOHead', 'DINONeck', 'DINOOutputLoss',
    'DeviceViews', 'DisCo', 'DisCoLoss', 'ForeachEMA', 'FrozenTeacher',
    'GlobalSimCLR', 'InfoNCEHead', 'LeanMoCo', 'MobileNetV3Pooled',
    'QueueSwAVLoss', 'StudentTap'
]

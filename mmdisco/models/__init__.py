from .backbones import MobileNetV3Pooled
from .disco import DisCo
from .heads import DINOHead, InfoNCEHead
from .losses import (
    ATLoss,
    BINGOLoss,
    CompRessLoss,
    DINOOutputLoss,
    DisCoLoss,
    KDLoss,
    RKDLoss,
    SEEDLoss,
    SimRegLoss,
)
from .necks import DINONeck, RetroNeck, SimRegNeck
from .preprocessors import BatchViews, DeviceViews
from .tap import StudentTap
from .teacher import FrozenTeacher
from .testbeds import (
    DINO,
    ForeachEMA,
    GlobalSimCLR,
    LeanMoCo,
    MomentumStudent,
    PlainStudent,
    QueueSwAVLoss,
)

__all__ = [
    'ATLoss', 'BINGOLoss', 'BatchViews', 'CompRessLoss', 'DINO', 'DINOHead',
    'DINONeck', 'DINOOutputLoss', 'DeviceViews', 'DisCo', 'DisCoLoss',
    'ForeachEMA', 'FrozenTeacher', 'GlobalSimCLR', 'InfoNCEHead', 'KDLoss',
    'LeanMoCo', 'MobileNetV3Pooled', 'MomentumStudent', 'PlainStudent',
    'QueueSwAVLoss', 'RKDLoss', 'RetroNeck', 'SEEDLoss', 'SimRegLoss',
    'SimRegNeck', 'StudentTap'
]

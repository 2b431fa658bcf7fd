from .backbones import LastBlocksViT, MobileNetV3Pooled
from .disco import DisCo
from .frozen_classifier import FrozenClassifier
from .heads import DINOHead, InfoNCEHead
from .kd_classifier import KDClassifier
from .linear_classifier import LinearClassifier
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
from .pretrained_init import StrictPretrainedInit
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
    'ATLoss',
    'BINGOLoss',
    'BatchViews',
    'CompRessLoss',
    'DINO',
    'DINOHead',
    'DINONeck',
    'DINOOutputLoss',
    'DeviceViews',
    'DisCo',
    'DisCoLoss',
    'ForeachEMA',
    'FrozenClassifier',
    'FrozenTeacher',
    'GlobalSimCLR',
    'InfoNCEHead',
    'KDClassifier',
    'KDLoss',
    'LastBlocksViT',
    'LeanMoCo',
    'LinearClassifier',
    'MobileNetV3Pooled',
    'MomentumStudent',
    'PlainStudent',
    'QueueSwAVLoss',
    'RKDLoss',
    'RetroNeck',
    'SEEDLoss',
    'SimRegLoss',
    'SimRegNeck',
    'StrictPretrainedInit',
    'StudentTap',
]

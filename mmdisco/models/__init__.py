"""Models, losses, necks, heads and preprocessors in mmpretrain's ``MODELS``."""

from .backbones import (
    ImportedNetwork,
    LastBlocksViT,
    MobileNetV3Pooled,
    NamedNetwork,
    TimmMaps,
    TimmNetwork,
    TorchvisionMaps,
    TorchvisionNetwork,
    named_network,
    network_names,
)
from .classifiers import FrozenClassifier, KDClassifier, LinearClassifier
from .disco import DisCo
from .heads import DINOHead, InfoNCEHead
from .losses import (
    ATLoss,
    BINGOLoss,
    CompRessLoss,
    CoSSLoss,
    DINOOutputLoss,
    DisCoLoss,
    DistillLoss,
    KDLoss,
    QueueKLLoss,
    QueueSwAVLoss,
    RKDLoss,
    SEEDLoss,
    SimRegLoss,
)
from .necks import (
    ClassAndPatchNeck,
    ClassTokenNeck,
    DINONeck,
    PooledNeck,
    RetroNeck,
    SimRegNeck,
)
from .outputs import FeatureMaps, Pooled, image_size
from .preprocessors import BatchViews, DeviceViews
from .pretrained_init import StrictPretrainedInit
from .selfsup import (
    DINO,
    ForeachEMA,
    GlobalSimCLR,
    LeanMoCo,
    MomentumStudent,
    PlainStudent,
)
from .standardizer import FeatureStandardizer
from .stored_teacher import StoredTeacher
from .tap import StudentTap
from .teacher import FrozenTeacher

__all__ = [
    'ATLoss',
    'BINGOLoss',
    'BatchViews',
    'ClassAndPatchNeck',
    'ClassTokenNeck',
    'CoSSLoss',
    'CompRessLoss',
    'DINO',
    'DINOHead',
    'DINONeck',
    'DINOOutputLoss',
    'DeviceViews',
    'DisCo',
    'DisCoLoss',
    'DistillLoss',
    'FeatureMaps',
    'FeatureStandardizer',
    'ForeachEMA',
    'FrozenClassifier',
    'FrozenTeacher',
    'GlobalSimCLR',
    'ImportedNetwork',
    'InfoNCEHead',
    'KDClassifier',
    'KDLoss',
    'LastBlocksViT',
    'LeanMoCo',
    'LinearClassifier',
    'MobileNetV3Pooled',
    'MomentumStudent',
    'NamedNetwork',
    'PlainStudent',
    'Pooled',
    'PooledNeck',
    'QueueKLLoss',
    'QueueSwAVLoss',
    'RKDLoss',
    'RetroNeck',
    'SEEDLoss',
    'SimRegLoss',
    'SimRegNeck',
    'StoredTeacher',
    'StrictPretrainedInit',
    'StudentTap',
    'TimmMaps',
    'TimmNetwork',
    'TorchvisionMaps',
    'TorchvisionNetwork',
    'image_size',
    'named_network',
    'network_names',
]

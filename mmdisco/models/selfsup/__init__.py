"""Self-supervised algorithms that mmpretrain lacks, or has with other results."""

from .dino import DINO
from .ema import ForeachEMA
from .moco import LeanMoCo
from .simclr import GlobalSimCLR
from .students import MomentumStudent, PlainStudent

__all__ = [
    'DINO',
    'ForeachEMA',
    'GlobalSimCLR',
    'LeanMoCo',
    'MomentumStudent',
    'PlainStudent',
]

from .dino import DINO
from .ema import ForeachEMA
from .moco import LeanMoCo
from .momentum_student import MomentumStudent
from .plain_student import PlainStudent
from .simclr import GlobalSimCLR

__all__ = [
    'DINO',
    'ForeachEMA',
    'GlobalSimCLR',
    'LeanMoCo',
    'MomentumStudent',
    'PlainStudent',
]

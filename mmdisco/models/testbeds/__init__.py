from .dino import DINO
from .ema import ForeachEMA
from .moco import LeanMoCo
from .plain_student import PlainStudent
from .simclr import GlobalSimCLR
from .swav import QueueSwAVLoss, sinkhorn

__all__ = [
    'DINO', 'ForeachEMA', 'GlobalSimCLR', 'LeanMoCo', 'PlainStudent',
    'QueueSwAVLoss', 'sinkhorn'
]

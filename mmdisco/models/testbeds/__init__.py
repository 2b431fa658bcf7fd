from .dino import DINO
from .ema import ForeachEMA
from .moco import LeanMoCo
from .swav import QueueSwAVLoss, sinkhorn

__all__ = ['DINO', 'ForeachEMA', 'LeanMoCo', 'QueueSwAVLoss', 'sinkhorn']

from .ema import ForeachEMA
from .moco import LeanMoCo
from .swav import QueueSwAVLoss, sinkhorn

__all__ = ['ForeachEMA', 'LeanMoCo', 'QueueSwAVLoss', 'sinkhorn']

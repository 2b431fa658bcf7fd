from .ema import ForeachEMA
from .moco import LeanMoCo

__all__ = ['ForeachEMA', 'LeanMoCo']

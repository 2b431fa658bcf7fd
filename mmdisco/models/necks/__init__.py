from .dino_neck import DINONeck
from .retro_neck import RetroNeck

__all__ = ['DINONeck', 'RetroNeck']

"""Necks: projection heads of students and of teachers."""

from .dino_neck import DINONeck
from .retro_neck import RetroNeck
from .simreg_neck import SimRegNeck

__all__ = ['DINONeck', 'RetroNeck', 'SimRegNeck']

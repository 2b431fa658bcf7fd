"""Necks: projection heads of students and of teachers."""

from .dino_neck import DINONeck
from .feature_necks import ClassAndPatchNeck, ClassTokenNeck, FeatureNeck, PooledNeck
from .retro_neck import RetroNeck
from .simreg_neck import SimRegNeck

__all__ = [
    'ClassAndPatchNeck',
    'ClassTokenNeck',
    'DINONeck',
    'FeatureNeck',
    'PooledNeck',
    'RetroNeck',
    'SimRegNeck',
]

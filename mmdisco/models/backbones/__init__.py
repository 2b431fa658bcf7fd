"""Backbones whose last features mmpretrain's do not return."""

from .last_blocks_vit import LastBlocksViT
from .mobilenet_v3_pooled import MobileNetV3Pooled

__all__ = ['LastBlocksViT', 'MobileNetV3Pooled']

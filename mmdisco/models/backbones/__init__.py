"""Backbones whose last features mmpretrain's do not return, and timm's."""

from .last_blocks_vit import LastBlocksViT
from .mobilenet_v3_pooled import MobileNetV3Pooled
from .timm_network import TimmNetwork

__all__ = ['LastBlocksViT', 'MobileNetV3Pooled', 'TimmNetwork']

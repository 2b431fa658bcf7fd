"""Heads of testbeds: outputs and losses of a student's own task."""

from .dino_head import DINOHead
from .info_nce_head import InfoNCEHead

__all__ = ['DINOHead', 'InfoNCEHead']

"""Distillation losses, one a file; ``base.py`` has their interface."""

from .at_loss import ATLoss
from .base import DistillLoss
from .bingo_loss import BINGOLoss
from .compress_loss import CompRessLoss
from .coss_loss import CoSSLoss
from .dino_output_loss import DINOOutputLoss
from .disco_loss import DisCoLoss
from .kd_loss import KDLoss
from .queue_kl_loss import QueueKLLoss
from .rkd_loss import RKDLoss
from .seed_loss import SEEDLoss
from .simreg_loss import SimRegLoss
from .swav_loss import QueueSwAVLoss

__all__ = [
    'ATLoss',
    'BINGOLoss',
    'CoSSLoss',
    'CompRessLoss',
    'DINOOutputLoss',
    'DisCoLoss',
    'DistillLoss',
    'KDLoss',
    'QueueKLLoss',
    'QueueSwAVLoss',
    'RKDLoss',
    'SEEDLoss',
    'SimRegLoss',
]

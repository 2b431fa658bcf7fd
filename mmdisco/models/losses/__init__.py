from .dino_output_loss import DINOOutputLoss
from .disco_loss import DisCoLoss

__all__ = ['DINOOutputLoss', 'DisCoLoss']

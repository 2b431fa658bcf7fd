from .dino_head import DINOHead
from .info_nce_head import InfoNCEHead

__all__ = ['DINOHead', 'InfoNCEHead']

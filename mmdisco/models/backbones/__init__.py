"""Backbones that mmpretrain lacks, and networks of other libraries by name."""

from .by_name import NamedNetwork, named_network, network_names
from .imported_network import ImportedNetwork
from .last_blocks_vit import LastBlocksViT
from .library_maps import TimmMaps, TorchvisionMaps
from .mobilenet_v3_pooled import MobileNetV3Pooled
from .pooled_backbone import pooled_backbone
from .timm_network import TimmNetwork
from .torchvision_network import TorchvisionNetwork

__all__ = [
    'ImportedNetwork',
    'LastBlocksViT',
    'MobileNetV3Pooled',
    'NamedNetwork',
    'TimmMaps',
    'TimmNetwork',
    'TorchvisionMaps',
    'TorchvisionNetwork',
    'named_network',
    'network_names',
    'pooled_backbone',
]

"""ResNet: mmpretrain, torchvision, timm and MoCo use the same names."""
from .naming import Naming

_SAME = ('conv1', 'bn1', 'layer1', 'layer2', 'layer3', 'layer4')

RESNET = tuple(
    Naming(library, tuple((name, name) for name in _SAME),
           left_out={'fc': 'classifier'})
    for library in ('torchvision', 'timm'))

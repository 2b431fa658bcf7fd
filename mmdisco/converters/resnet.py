"""ResNet: mmpretrain, torchvision, timm and MoCo use the same names.

All have BN eps 1e-5 and the stride in the 3x3 convolution; so have the copies
in MoCo's, SwAV's and SEED's code. Where a deep or an anti-aliased stem, or
another downsampling, has tensors of its own (timm's *d, *s, *t), they do not
fit.
"""

from .naming import Naming

_SAME = ('conv1', 'bn1', 'layer1', 'layer2', 'layer3', 'layer4')
_ALIKE = (
    "timm's resnetaa* and resnetblur*, which filter before they "
    "subsample, and Caffe's (mmpretrain's style='caffe'), which stride "
    'in the 1x1 convolution,'
)

RESNET = tuple(
    Naming(
        library,
        tuple((name, name) for name in _SAME),
        left_out={'fc': 'classifier'},
        alike=_ALIKE,
    )
    for library in ('torchvision', 'timm')
)

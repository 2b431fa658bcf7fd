"""ConvNeXt-T, supervised with ImageNet's labels.

Source: facebookresearch/ConvNeXt; licence MIT.
82.1 top-1 (ImageNet, supervised) as published with the file. Not measured here.
Commercial use allowed by the licence.
Embedding: pooled feature, 768-d. Images of 224 pixels. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='convnext_tiny.fb_in1k'),
    neck=dict(type='PooledNeck', in_channels=768),
    checkpoint='checkpoints/convnext_tiny_1k_224_ema.pth',
    url='https://dl.fbaipublicfiles.com/convnext/convnext_tiny_1k_224_ema.pth',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])

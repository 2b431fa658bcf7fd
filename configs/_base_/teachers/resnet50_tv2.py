"""ResNet-50, supervised with ImageNet's labels by torchvision's second recipe.

Source: pytorch/vision; licence BSD-3-Clause.
80.858 top-1 (ImageNet, supervised) as published with the file. Not measured here.
Commercial use allowed by the licence.
Embedding: pooled feature, 2048-d. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='resnet50.tv2_in1k'),
    neck=dict(type='PooledNeck', in_channels=2048),
    checkpoint='checkpoints/resnet50-11ad3fa6.pth',
    url='https://download.pytorch.org/models/resnet50-11ad3fa6.pth',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])

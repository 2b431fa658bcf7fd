"""ViT-g/14 by DINOv2.

Source: facebookresearch/dinov2; licence Apache-2.0.
86.5 top-1 (ImageNet, linear) as published with the file. Not measured here. Commercial
use allowed by the licence.
Embedding: class token behind the last norm, 1536-d. Patches of 14: sides of images are
multiples of 14. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_giant_patch14_dinov2'),
    neck=dict(type='ClassTokenNeck', in_channels=1536),
    checkpoint='checkpoints/dinov2_vitg14_pretrain.pth',
    url='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitg14/'
        'dinov2_vitg14_pretrain.pth',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])

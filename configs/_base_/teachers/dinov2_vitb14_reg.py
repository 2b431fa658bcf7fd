"""ViT-B/14 with four registers by DINOv2, distilled from its ViT-g.

Source: facebookresearch/dinov2; licence Apache-2.0.
84.6 top-1 (ImageNet, linear) as published with the file. Not measured here. Commercial
use allowed by the licence.
Embedding: class token behind the last norm, 768-d. Patches of 14: sides of images are
multiples of 14. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_base_patch14_reg4_dinov2'),
    neck=dict(type='ClassTokenNeck', in_channels=768),
    checkpoint='checkpoints/dinov2_vitb14_reg4_pretrain.pth',
    url='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/'
        'dinov2_vitb14_reg4_pretrain.pth',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])

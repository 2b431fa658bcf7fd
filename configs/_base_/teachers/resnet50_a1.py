"""ResNet-50, supervised with ImageNet's labels by timm's recipe A1.

Source: huggingface/pytorch-image-models; licence Apache-2.0.
No accuracy quoted. Commercial use allowed by the licence.
Embedding: pooled feature, 2048-d. Images of 224 pixels. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='resnet50.a1_in1k'),
    neck=dict(type='PooledNeck', in_channels=2048),
    checkpoint='checkpoints/resnet50_a1_0-14fe96d1.pth',
    url='https://github.com/rwightman/pytorch-image-models/releases/download/'
        'v0.1-rsb-weights/resnet50_a1_0-14fe96d1.pth',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])

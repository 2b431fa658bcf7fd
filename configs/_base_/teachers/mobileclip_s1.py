"""The image tower of MobileCLIP-S1.

Source: apple/ml-mobileclip; licence Apple AMLR.
72.6 top-1 (ImageNet, zero-shot, with its text tower) as published with the file. Not
measured here. No commercial use by the licence.
Embedding: pooled feature, before the projection to the text tower's space, 1024-d.
Images of 256 pixels. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='fastvit_mci1.apple_mclip'),
    neck=dict(type='PooledNeck', in_channels=1024),
    checkpoint='checkpoints/mobileclip_s1.pt',
    url='https://docs-assets.developer.apple.com/ml-research/datasets/mobileclip/'
        'mobileclip_s1.pt',
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0])

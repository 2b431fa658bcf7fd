"""The image tower of MobileCLIP-B.

Source: apple/ml-mobileclip; licence Apple AMLR.
76.8 top-1 (ImageNet, zero-shot, with its text tower) as published with the file. Not
measured here. No commercial use by the licence.
Embedding: class token behind the last norm, before the projection to the text tower's
space, 768-d. Images of 224 pixels. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_base_mci_224.apple_mclip'),
    neck=dict(type='ClassTokenNeck', in_channels=768),
    checkpoint='checkpoints/mobileclip_b.pt',
    url='https://docs-assets.developer.apple.com/ml-research/datasets/mobileclip/'
        'mobileclip_b.pt',
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0])

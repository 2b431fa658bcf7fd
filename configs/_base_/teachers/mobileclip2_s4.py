"""The image tower of MobileCLIP2-S4.

Source: apple/ml-mobileclip, converted by timm; licence Apple AMLR.
No accuracy quoted. No commercial use by the licence.
Embedding: pooled feature, before the projection to the text tower's space, 4096-d.
Images of 256 pixels. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='fastvit_mci4.apple_mclip2_dfndr2b'),
    neck=dict(type='PooledNeck', in_channels=4096),
    checkpoint='checkpoints/fastvit_mci4.apple_mclip2_dfndr2b.safetensors',
    url='https://huggingface.co/timm/fastvit_mci4.apple_mclip2_dfndr2b/resolve/main/'
        'model.safetensors',
    mean=[122.7709, 116.746, 104.0937],
    std=[68.5005, 66.6322, 70.3232])
